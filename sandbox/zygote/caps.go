package zygote

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capNames are the capabilities of capabilities(7) by number.
var capNames = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// BrokerCaps is the set casemated cuts itself down to before its runtime
// starts; the table in SECURITY.md says what each one is for.
const BrokerCaps uint64 = Indispensable | 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_KILL |
	LatentCaps | 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_AUDIT_READ

// LatentCaps are those of BrokerCaps that it passes on to zygotes and has in no effective set.
const LatentCaps uint64 = 1 << unix.CAP_NET_ADMIN

// Indispensable are those of BrokerCaps without which no service can be started.
const Indispensable uint64 = 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_SYS_ADMIN

// CapMask turns capability names into a bit mask by capability number.
func CapMask(names ...string) (uint64, error) {
	var m uint64
	for _, n := range names {
		i := slices.IndexFunc(capNames, func(c string) bool { return strings.EqualFold(c, n) })
		if i < 0 {
			return 0, fmt.Errorf("unknown capability %q", n)
		}
		m |= 1 << i
	}
	return m, nil
}

// CapNames turns a bit mask into sorted-by-number names.
func CapNames(mask uint64) []string {
	var out []string
	for ; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		if i < len(capNames) {
			out = append(out, capNames[i])
		} else {
			out = append(out, fmt.Sprintf("capability %d", i))
		}
	}
	return out
}
