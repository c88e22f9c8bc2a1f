// Package events reads what the limits of a control group have done, by whoever was given the files.
package events

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Events counts what a group's limits have done since it was made; what cannot be read is 0.
type Events struct {
	OOM      uint64 // its own memory.max left an allocation without any
	OOMKills uint64 // processes killed for want of memory, be it by its own limit or by one above
	Forks    uint64 // pids.max left a fork without a task; before Linux 6.11 a limit above counts too
}

// Read reads them from descriptors of memory.events and pids.events, -1 for none.
func Read(files [2]int) Events {
	m := counts(files[0])
	return Events{OOM: m["oom"], OOMKills: m["oom_kill"], Forks: counts(files[1])["max"]}
}

// counts are the lines of such a file, each a name and a number.
func counts(fd int) map[string]uint64 {
	if fd < 0 {
		return nil
	}
	var buf [512]byte
	n, _ := unix.Pread(fd, buf[:], 0)
	of := make(map[string]uint64)
	for line := range strings.Lines(string(buf[:max(n, 0)])) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		of[name], _ = strconv.ParseUint(count, 10, 64)
	}
	return of
}
