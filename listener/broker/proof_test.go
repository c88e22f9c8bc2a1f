package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
)

// provenCell says what its proof is.
type provenCell struct {
	*fakeCell
	proof string
}

func (c provenCell) Proof() (string, error) { return c.proof, nil }

// TestOneProofForMany: of many services one zygote proves all that would do the same, and what
// another would do is proved by that one: a failure there refuses the load.
func TestOneProofForMany(t *testing.T) {
	g := newRig(t)
	var services []policy.Service
	ports := make(map[uint16]bool)
	for len(ports) < maxWarm+10 {
		ports[freePort(t)] = true
	}
	for i, port := range slices.Sorted(maps.Keys(ports)) {
		services = append(services, svc(fmt.Sprintf("s%03d", i), "tcp", port, "/bin/cat"))
	}
	var mu sync.Mutex
	cells := make(map[string]*fakeCell)
	fails := "" // the service whose zygotes fail
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		c := &fakeCell{argv: argvOf(j)}
		proof := "many"
		if j.Service == "s007" || j.Service == "s070" {
			proof = j.Service
		}
		if j.Service == fails {
			c.refuse = errors.New("no way in")
		}
		mu.Lock()
		cells[j.Service] = c
		mu.Unlock()
		return provenCell{c, proof}, nil
	}
	g.load(services...)
	spawns := 0
	for _, c := range cells {
		spawns += c.spawns
	}
	if spawns > 2+atOnce || cells["s007"].spawns != 1 || cells["s070"].spawns != 1 {
		t.Errorf("%d zygotes for three proofs, s007 %d, s070 %d", spawns, cells["s007"].spawns, cells["s070"].spawns)
	}
	fails = "s070"
	for i := range services { // every sandbox is another one
		services[i].Command = []string{"/bin/cat", "-u"}
	}
	g.setPolicy(services...)
	if _, _, err := g.Load(); err == nil || !strings.Contains(err.Error(), "services.s070: ") || !strings.Contains(err.Error(), "no way in") {
		t.Errorf("a zygote that cannot enter: %v", err)
	}
}
