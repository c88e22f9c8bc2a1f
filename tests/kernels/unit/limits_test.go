//go:build guest

package unit

import (
	"fmt"
	"testing"

	"casemate/tests/root/rig"
)

// TestMemoryHeld: what exceeds its memory is ended, recorded as that, without a
// penalty for its client, and nobody else feels it; be it its namespace's first
// process or one behind an init.
func TestMemoryHeld(t *testing.T) {
	for _, c := range []struct{ name, port string }{{"bare", barePort}, {"memory", memoryPort}} {
		t.Run(c.name, func(t *testing.T) { memoryHeld(t, started(t), c.name, c.port) })
	}
}

func memoryHeld(t *testing.T, b *rig.Broker, name, port string) {
	before, err := ends(name, "memory")
	if err != nil {
		t.Fatal(err)
	}
	pid := show(t, "MainPID")
	for n := range 2 {
		if got, err := rig.Exchange(port, ""); got != "" {
			t.Errorf("the bomb got so far: %q (%v)", got, err)
		}
		awaitEnds(t, name, "memory", before+n+1)
	}
	if s, err := b.Service(name); err != nil || s.RefusedBy["penalty"] != 0 {
		t.Errorf("its client was penalised: %+v, %v", s, err)
	}
	if err := factors(); err != nil {
		t.Error(err)
	}
	if now := show(t, "MainPID"); now != pid {
		t.Errorf("the broker is process %s, was %s", now, pid)
	}
}

// forks lets a fork bomb off and returns how many processes it got. When it
// returns they are gone.
func forks(t *testing.T, port, name string) int {
	t.Helper()
	idle(t, name)
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	c.Close()
	var count int
	if _, scan := fmt.Sscanf(string(buf[:n]), "%d forks", &count); scan != nil {
		t.Fatalf("the bomb said %q (%v)", buf[:n], err)
	}
	idle(t, name)
	return count
}

// TestProcessesHeld: a fork bomb gets what its profile says.
func TestProcessesHeld(t *testing.T) {
	started(t)
	if n := forks(t, forksPort, "forks"); n < 1 || n > 7 {
		t.Errorf("the bomb got %d forks of 8 processes in all", n)
	}
	if err := factors(); err != nil {
		t.Error(err)
	}
}

// TestCPUHeld: a busy loop gets the share that its profile says.
func TestCPUHeld(t *testing.T) {
	started(t)
	got, err := rig.Exchange(spinPort, "")
	var percent int
	if _, scan := fmt.Sscanf(got, "%d percent", &percent); scan != nil {
		t.Fatalf("the bomb said %q (%v)", got, err)
	}
	if percent < 5 || percent > 30 {
		t.Errorf("the loop got %d percent of a processor, its profile says 20", percent)
	}
}

// TestUnitHolds: the unit's own limit holds what its services do, whatever their
// profiles say.
func TestUnitHolds(t *testing.T) {
	started(t)
	const left = 10
	free := forks(t, swarmPort, "swarm")
	if free <= left {
		t.Fatalf("without a limit of the unit the bomb got only %d forks", free)
	}
	var now int
	if _, err := fmt.Sscan(show(t, "TasksCurrent"), &now); err != nil {
		t.Fatal(err)
	}
	limit := show(t, "TasksMax")
	systemctl(t, "set-property", "--runtime", unitName, fmt.Sprintf("TasksMax=%d", now+left))
	defer systemctl(t, "set-property", "--runtime", unitName, "TasksMax="+limit)
	if n := forks(t, swarmPort, "swarm"); n > left {
		t.Errorf("the bomb got %d forks with %d tasks left to the unit, %d before", n, left, free)
	}
	systemctl(t, "is-active", unitName)
}
