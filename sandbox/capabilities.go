package sandbox

// Capabilities are those that a profile may keep (capabilities(7)), sorted: what
// daemons use that change users, serve files of several users, or bind low ports
// by themselves. The broker keeps all of them for itself.
//
// The others are not to be had. CAP_SYS_ADMIN, CAP_SETPCAP, CAP_SYS_RESOURCE and
// CAP_AUDIT_READ are the broker's and undo what a sandbox is made of; the rest it
// has given up, among them CAP_NET_RAW and CAP_SYS_PTRACE.
var Capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT",
}
