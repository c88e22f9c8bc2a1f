package lang

import (
	"path"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/valid"
)

// tftpdProfile is what in.tftpd with -s needs beyond profile.classic_wait: it changes its root
// and its user, and answers each transfer from a socket of its own. examples/legacy-host has it
// at work.
const tftpdProfile = `give it a profile of its own: base = profile.classic_wait, widens = ["capabilities", "network", "syscalls"], because = "...", ` +
	`capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"], network { mode = "host" } and syscalls { allow = ["@identity", "@socket-server", "chroot"] }, each on a line`

// BeyondWait says what a program that is handed its socket cannot do under profile.classic_wait,
// and the lines that let it; "" is nothing that is known.
func BeyondWait(s *policy.Service) (what, next string) {
	name := path.Base(strings.Join(append(slices.Clone(s.Command), "")[:1], ""))
	if s.Profile != "classic_wait" || !valid.Root(s.User) || name != "in.tftpd" && name != "tftpd" ||
		!slices.ContainsFunc(s.Command[1:], func(a string) bool {
			return a == "--secure" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(a, "s")
		}) {
		return "", ""
	}
	return name + " with -s changes its root and its user, and opens a socket for each transfer: profile.classic_wait lets it do neither, and no client is answered", tftpdProfile
}
