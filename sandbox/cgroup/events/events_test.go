package events

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEvents(t *testing.T) {
	file := func(text string) int {
		path := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return int(f.Fd())
	}
	for _, c := range []struct {
		memory, pids string
		want         Events
	}{
		{"", "", Events{}},
		{"oom 3\noom_kill\n", "max x\n", Events{OOM: 3}},
		{"low 0\nhigh 0\nmax 7\noom 3\noom_kill 12\noom_group_kill 1\n", "max 4\n", Events{OOM: 3, OOMKills: 12, Forks: 4}},
	} {
		if got := Read([2]int{file(c.memory), file(c.pids)}); got != c.want {
			t.Errorf("%q, %q: %+v, want %+v", c.memory, c.pids, got, c.want)
		}
	}
	if got := Read([2]int{-1, -1}); got != (Events{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
