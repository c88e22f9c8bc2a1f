package main

import (
	"os"
	"strconv"
	"strings"

	"casemate/policy/lang"
)

// hostFacts reads what check --host compares with. What cannot be read is not known.
func hostFacts() lang.Host {
	h := lang.Host{Memory: hostMemory()}
	for _, name := range []string{"threads-max", "pid_max"} {
		text, _ := os.ReadFile("/proc/sys/kernel/" + name)
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (h.Tasks == 0 || n < h.Tasks) {
			h.Tasks = n
		}
	}
	// The root's, not this process's own group's: the broker is somewhere else.
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if text, err := os.ReadFile(top + "/cgroup.controllers"); err == nil {
			h.Controllers = strings.Fields(string(text))
			break
		}
	}
	return h
}

// hostMemory is MemTotal and SwapTotal of proc_meminfo(5).
func hostMemory() (bytes int64) {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "MemTotal:" || f[0] == "SwapTotal:") {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			bytes += n << 10
		}
	}
	return bytes
}
