package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"casemate/cmd/casemate/dynlink"
	"casemate/policy"
	"casemate/policy/lang"
)

// Where the facts are.
const (
	kernelNumbers = "/proc/sys/kernel/"
	memInfo       = "/proc/meminfo"
)

// controllerFiles are those of the root of the version 2 tree, not of this
// process's own group: the broker is somewhere else.
var controllerFiles = []string{"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"}

// servicesFacts says where this host's names of ports differ from those of a policy.
func servicesFacts(sources map[string][]byte) []policy.Diagnostic {
	text, err := os.ReadFile("/etc/services")
	if err != nil {
		return nil // nothing differs from what is not there
	}
	var files []policy.SourceFile
	for name, data := range sources {
		if policy.IsDocument(name) {
			return nil // it holds numbers alone
		}
		files = append(files, policy.SourceFile{Name: name, Data: data})
	}
	return lang.HostServices(files, text)
}

// hostFacts reads what check --host compares with. What cannot be read is not known.
func hostFacts(p *policy.Policy, n *hostNet) lang.Host {
	h := lang.Host{Memory: hostMemory(), Faults: faultsOf(p, n)}
	h.Faults = append(h.Faults, libraryFaults(p, h.Faults)...)
	for _, name := range []string{"threads-max", "pid_max"} {
		text, _ := os.ReadFile(kernelNumbers + name)
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (h.Tasks == 0 || n < h.Tasks) {
			h.Tasks = n
		}
	}
	for _, name := range controllerFiles {
		if text, err := os.ReadFile(name); err == nil {
			h.Controllers = strings.Fields(string(text))
			break
		}
	}
	return h
}

// libraryFaults is what the programs of a policy would miss in their trees.
// One that is refused already is not looked at again.
func libraryFaults(p *policy.Policy, known []lang.Fault) (faults []lang.Fault) {
	for _, s := range p.Programs() {
		f, at := p.Profile(s.Profile), p.CommandAt(s)+".0"
		if len(s.Command) == 0 || f == nil || slices.ContainsFunc(known, func(f lang.Fault) bool { return f.Path == at }) {
			continue
		}
		if l := dynlink.Missing(&f.Files, s.Command[0], s.Env); l != nil {
			what, next := lackOf(l, s.Profile)
			faults = append(faults, lang.Fault{Path: at, Library: true, Summary: fmt.Sprintf("the program of service %q does not start on this host: %s", s.Name, what), Next: next})
		}
	}
	return faults
}

func lackOf(l *dynlink.Lack, profile string) (what, next string) {
	needs := l.By + " needs " + l.Library
	add := fmt.Sprintf("add it or its directory to the profile, as files { exec = [%q] }", path.Dir(l.Path))
	switch {
	case l.Uncached:
		return fmt.Sprintf("%s, and %s is only found through /etc/ld.so.cache, which profile %q does not show", needs, l.Path, profile),
			`add it to the profile, as files { read = ["/etc/ld.so.cache"] }`
	case l.Shown:
		return fmt.Sprintf("%s, and profile %q lets nothing of %s be executed", needs, profile, l.Path), add
	}
	return fmt.Sprintf("%s, and profile %q does not show %s", needs, profile, l.Path), add
}

// hostMemory is MemTotal and SwapTotal of proc_meminfo(5).
func hostMemory() (bytes int64) {
	text, _ := os.ReadFile(memInfo)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "MemTotal:" || f[0] == "SwapTotal:") {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			bytes += n << 10
		}
	}
	return bytes
}
