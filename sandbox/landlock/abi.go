// Package landlock builds Landlock rulesets: descriptors that a child applies
// to itself with landlock_restrict_self(2) before it executes a service.
//
// Nothing here restricts the calling process.
package landlock

import "golang.org/x/sys/unix"

// The first ABI that restricts network ports and that has scopes.
const (
	ABINet    = 4
	ABIScopes = 6
)

// abis lists what each ABI added, from the kernel's
// Documentation/userspace-api/landlock.rst. ABIs 7 and 8 added none of these
// (audit flags, thread synchronisation).
var abis = []struct {
	version         int
	fs, net, scopes uint64
}{
	{version: 1, fs: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1}, // it and all before: execute, write, read, remove and make
	{version: 2, fs: unix.LANDLOCK_ACCESS_FS_REFER},
	{version: 3, fs: unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	{version: ABINet, net: unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP},
	{version: 5, fs: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	{version: ABIScopes, scopes: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL},
	{version: 9, fs: unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
	{version: 10, net: unix.LANDLOCK_ACCESS_NET_BIND_UDP | unix.LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP},
}

// known is everything an ABI can handle, as far as this package knows it.
func known(abi int) (attr unix.LandlockRulesetAttr) {
	for _, a := range abis {
		if a.version <= abi {
			attr.Handled_access_fs |= a.fs
			attr.Handled_access_net |= a.net
			attr.Scoped |= a.scopes
		}
	}
	return attr
}

// ABI is the kernel's Landlock ABI version, 0 when it has none or it is
// switched off at boot. It costs one system call.
func ABI() int {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(n)
}
