package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"casemate/sandbox/cgroup/events"

	"golang.org/x/sys/unix"
)

// TestEventFiles: what the limits of a control group have done is read from the files that the kernel calls so (cgroups(7)). A limit
// without its file is an error that names it, and no limit without one is none.
func TestEventFiles(t *testing.T) {
	open := func(files map[string]string, limits ...int64) (events.Events, error) {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(at)
		s := &Sandbox{group: "group", Events: [2]int{-1, -1}}
		err = s.openEvents(at, limits...)
		got := events.Read(s.Events)
		for _, fd := range s.fds {
			unix.Close(fd)
		}
		return got, err
	}
	memory, pids := map[string]string{"memory.events": "oom 1\noom_kill 2\n"}, map[string]string{"pids.events": "max 3\n"}
	both := map[string]string{"memory.events": memory["memory.events"], "pids.events": pids["pids.events"]}
	if got, err := open(both, 1<<20, 8); err != nil || got != (events.Events{OOM: 1, OOMKills: 2, Forks: 3}) {
		t.Errorf("both limits: %+v, %v", got, err)
	}
	if got, err := open(pids, 0, 8); err != nil || got != (events.Events{Forks: 3}) {
		t.Errorf("one of tasks: %+v, %v", got, err)
	}
	if _, err := open(memory, 1<<20, 8); err == nil || err.Error() != "open group/pids.events: no such file or directory" {
		t.Errorf("without that of tasks: %v", err)
	}
	if got, err := open(nil, 0, 0); err != nil || got != (events.Events{}) {
		t.Errorf("without limits: %+v, %v", got, err)
	}
}
