package unit

import (
	"slices"
	"strings"

	"casemate/policy/calls"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
)

// syscalls is the allow-list by name; what the profile asks of arguments systemd has a setting
// for in few cases.
func (w *writer) syscalls(p *sandbox.Profile, rules []seccomp.Rule) {
	w.WriteString("\n")
	w.set("SystemCallArchitectures", "native")
	var names, partly []string
	for _, r := range rules {
		if !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
		if len(r.Args) > 0 && !slices.Contains(partly, r.Name) {
			partly = append(partly, r.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(partly)
	if written, _ := seccomp.Written(rules); written {
		w.note("Memory that is written and then executed: the profile allows it.")
	} else {
		w.yes("MemoryDenyWriteExecute")
	}
	w.list("SystemCallFilter", names)
	for line := range strings.SplitSeq(fold(partly), "\n") {
		w.note("%s", line)
	}
	if p.Syscalls.OnViolation == seccomp.Errno {
		w.set("SystemCallErrorNumber", "EPERM")
	} else {
		w.note("Any other call kills (on_violation = \"kill\"): systemd's default.")
	}
	if calls.ExecsOnce(p) {
		w.note("It executes no second program: systemd always allows execve.")
	}
}

// fold is the comment about the calls that are allowed with some arguments alone.
func fold(partly []string) string {
	out, width := "Allowed with some arguments alone, and here with any, but for what", 0
	out += "\nRestrictAddressFamilies=, RestrictNamespaces= and MemoryDenyWriteExecute= ask for:\n "
	for _, name := range partly {
		if width += len(name) + 1; width > 90 {
			out, width = out+"\n ", len(name)+1
		}
		out += " " + name
	}
	return out
}
