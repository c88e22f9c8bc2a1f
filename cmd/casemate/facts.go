package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"casemate/cmd/casemate/dynlink"
	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox/hostpath"
)

// Where the facts are.
const (
	kernelNumbers = "/proc/sys/kernel/"
	memInfo       = "/proc/meminfo"
)

// controllerFiles are those of the root of the version 2 tree, not of this
// process's own group: the broker is somewhere else.
var controllerFiles = []string{"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"}

// factFiles are all that hostFacts reads.
var factFiles = slices.Concat([]string{memInfo, kernelNumbers + "threads-max", kernelNumbers + "pid_max"}, controllerFiles, dynlink.Reads)

// hostFacts reads what check --host compares with. What cannot be read is not known.
func hostFacts(p *policy.Policy) lang.Host {
	h := lang.Host{Memory: hostMemory(), Programs: programFaults(p), Libraries: libraryFaults(p)}
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

// programFaults is what casemated would refuse the programs of a policy for, as
// far as it can be told without reading them.
func programFaults(p *policy.Policy) map[string]lang.Fault {
	hostpath.AsRoot()
	faults := map[string]lang.Fault{}
	for i := range p.Services {
		if command := p.Services[i].Command; len(command) > 0 {
			if err := openProgram(command[0]); err != nil {
				faults[command[0]] = faultOf(command[0], err)
			}
		}
	}
	return faults
}

// libraryFaults is what the programs of a policy would miss in their trees.
func libraryFaults(p *policy.Policy) map[string]lang.Fault {
	faults := map[string]lang.Fault{}
	for i := range p.Services {
		s := &p.Services[i]
		f := p.Profile(s.Profile)
		if len(s.Command) == 0 || f == nil {
			continue
		}
		if l := dynlink.Missing(&f.Files, s.Command[0], s.Env); l != nil {
			faults[s.Name] = lackOf(l, s.Profile)
		}
	}
	return faults
}

func lackOf(l *dynlink.Lack, profile string) lang.Fault {
	needs := l.By + " needs " + l.Library
	add := fmt.Sprintf("add it or its directory to the profile, as files { exec = [%q] }", path.Dir(l.Path))
	switch {
	case l.Uncached:
		return lang.Fault{Summary: fmt.Sprintf("%s, and %s is only found through /etc/ld.so.cache, which profile %q does not show", needs, l.Path, profile),
			Next: `add it to the profile, as files { read = ["/etc/ld.so.cache"] }`}
	case l.Shown:
		return lang.Fault{Summary: fmt.Sprintf("%s, and profile %q lets nothing of %s be executed", needs, profile, l.Path), Next: add}
	}
	return lang.Fault{Summary: fmt.Sprintf("%s, and profile %q does not show %s", needs, profile, l.Path), Next: add}
}

func openProgram(path string) error {
	f, err := hostpath.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Program()
}

func faultOf(path string, err error) lang.Fault {
	var unsafe *hostpath.UnsafeError
	switch {
	case !errors.As(err, &unsafe):
		return lang.Fault{Summary: "cannot be run: " + err.Error(), Next: "name a program that this host has"}
	case unsafe.Path != path:
		return lang.Fault{Summary: "is not only root's: " + unsafe.Path + " " + unsafe.Reason, Next: unsafe.Next}
	}
	return lang.Fault{Summary: unsafe.Reason, Next: unsafe.Next}
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
