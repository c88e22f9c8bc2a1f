package advise

import (
	"casemate/sandbox/seccomp"

	"golang.org/x/sys/unix"
)

// perilous are calls that no group has, with what they are good for. A profile
// may name them, and says why; those that casemated has given up it may not.
var perilous = func() map[string]string {
	out := map[string]string{}
	for why, names := range map[string][]string{
		"reads and changes other processes": {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
			"process_madvise", "process_mrelease", "move_pages", "migrate_pages"},
		"changes what is mounted, or the root": {"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
			"open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd"},
		"makes or joins namespaces":                   {"unshare", "setns"},
		"opens files past the directory tree":         {"name_to_handle_at"},
		"watches the whole system":                    {"fanotify_init", "fanotify_mark", "syslog"},
		"has been the way into the kernel many times": {"userfaultfd", "keyctl", "add_key", "request_key", "vmsplice", "remap_file_pages"},
		"does calls that the filter does not see":     {"io_uring_setup", "io_uring_enter", "io_uring_register"},
		"changes the machine":                         {"sethostname", "setdomainname", "adjtimex", "clock_adjtime", "vhangup"},
		"changes the processor":                       {"modify_ldt"},
		"changes how the system is secured":           {"lsm_set_self_attr", "capset"},
	} {
		for _, n := range names {
			out[n] = why
		}
	}
	return out
}()

// perils are calls that groups have by their arguments, with what other arguments
// are good for.
var perils = []struct {
	rule seccomp.Rule
	why  string
}{
	{seccomp.Rule{Name: "prctl", Args: []seccomp.Arg{{Index: 0, Value: unix.PR_SET_SPECULATION_CTRL}}}, "changes how the kernel guards it"},
	{seccomp.Rule{Name: "clone", Args: []seccomp.Arg{{Index: 0, Mask: unix.CLONE_NEWUSER, Value: unix.CLONE_NEWUSER}}}, "makes or joins namespaces"},
}

// Perilous says what a rule that no group has is good for, and "" for the
// others. It is for warnings: a profile may have such a rule.
func Perilous(r seccomp.Rule) string {
	if why := perilous[r.Name]; why != "" {
		return why
	}
	for _, p := range perils {
		if seccomp.Allows([]seccomp.Rule{p.rule}, r) {
			return p.why
		}
	}
	return ""
}
