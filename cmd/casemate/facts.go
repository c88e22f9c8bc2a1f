package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

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
var factFiles = append([]string{memInfo, kernelNumbers + "threads-max", kernelNumbers + "pid_max"}, controllerFiles...)

// hostFacts reads what check --host compares with. What cannot be read is not known.
func hostFacts(p *policy.Policy) lang.Host {
	h := lang.Host{Memory: hostMemory(), Programs: programFaults(p)}
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
