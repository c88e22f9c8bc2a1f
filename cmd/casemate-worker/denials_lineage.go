package main

import (
	"bytes"
	"os"
	"strconv"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// maxSteps bounds a walk through a process's parents, which may end and whose numbers may be
// given again meanwhile, so that it might go round in circles.
const maxSteps = 8192

// lineage is a process's session (getsid), and of itself, its parent, the parent's parent and
// so on up to top, which is left out, the last: what tells whose a process is, its session's
// program and init, is right below the broker, however deep the process.
func lineage(pid, top int32) []int32 {
	sid, _ := unix.Getsid(int(pid)) // 0 is nobody's
	out := []int32{int32(sid)}
	for steps := 0; pid > 1 && pid != top && steps < maxSteps; steps++ {
		if len(out) == wire.MaxPIDs {
			out = append(out[:1], out[2:]...)
		}
		out = append(out, pid)
		pid = parent(pid)
	}
	return out
}

// parent is 0 where there is none to be seen.
func parent(pid int32) int32 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if err != nil {
		return 0
	}
	// The name may hold anything, also brackets: the last one ends it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[1]), 10, 32)
	return int32(n)
}

// owner is the real user of a process, root where there is none to be seen.
func owner(pid int32) uint32 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		return 0
	}
	// The kernel escapes the end of a line in the name, so that this begins no line but its own.
	_, rest, _ := bytes.Cut(text, []byte("\nUid:\t"))
	word, _, _ := bytes.Cut(rest, []byte("\t"))
	uid, _ := strconv.ParseUint(string(word), 10, 32)
	return uint32(uid)
}
