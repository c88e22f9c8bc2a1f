package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"casemate/tests/root/rig"
)

// ours is casemate's name where it stands beside its peers.
const ours = "casemate"

// product is one casemated to measure.
type product struct {
	name string
	bin  string // the folder of its binaries; "" is the product's
	port uint16 // of the measured service
	// profile is that of the services; "" is bench.
	profile string
	relay   bool // their bytes are carried by one
	// idle are services beside the measured one, each on a port of its own.
	idle int
	// wide is how many further ports the measured service listens on.
	wide int
	// firstIdle is the first port for idle and wide.
	firstIdle uint16
	linger    time.Duration
}

// running is a casemated that serves.
type running struct {
	*target
	*rig.Broker
}

// everyLayerHCL is everyLayer as a user writes it: the shipped profile for one
// process with files, whose filter allows more than 150 calls, with a private
// /tmp and a /proc of its own.
const everyLayerHCL = `
policy { edition = 1 }

# As good as none: what is measured must not be a limit.
limit "none" {
  concurrent = 100000
  rate       = "1000000/s"
  burst      = 1000000
  per_source {
    concurrent = 100000
    rate       = "1000000/s"
    burst      = 1000000
  }
}

profile "bench" {
  base   = profile.files
  widens = ["files"]
  files {
    tmp  = "1MiB"
    proc = true
  }
}

profile "private" {
  base   = profile.bench
  widens = ["network"]
  network { mode = "private" }
}
`

// policy is the product's policy text.
func (p product) policy(program string) string {
	var s strings.Builder
	s.WriteString(everyLayerHCL)
	service := func(name, listen string) {
		fmt.Fprintf(&s, "\nservice %q {\n  listen  = [%s]\n  command = [%q]\n  user    = \"nobody\"\n"+
			"  acl     = acl.anyone\n  limit   = limit.none\n  profile = profile.%s\n", name, listen, program, cmp.Or(p.profile, "bench"))
		if p.linger > 0 {
			fmt.Fprintf(&s, "  linger  = %q\n", p.linger)
		}
		if p.relay {
			s.WriteString("  stdio = \"relay\"\n")
		}
		s.WriteString("}\n")
	}
	listen := fmt.Sprintf(`"tcp://127.0.0.1:%d"`, p.port)
	for done := 0; done < p.wide; {
		n := min(p.wide-done, 1000) // a range has its own limit
		first := int(p.firstIdle) + done
		listen += fmt.Sprintf(`, "tcp://127.0.0.1:%d-%d"`, first, first+n-1)
		done += n
	}
	service("answer", listen)
	for i := range p.idle {
		service(fmt.Sprintf("idle-%d", i), fmt.Sprintf(`"tcp://127.0.0.1:%d"`, int(p.firstIdle)+i))
	}
	return s.String()
}

// product starts one casemated and waits until it answers.
func (b *bench) product(_ context.Context, p product) (*running, error) {
	libexec, err := filepath.Abs(cmp.Or(p.bin, b.libexec))
	if err != nil {
		return nil, err
	}
	broker, err := rig.Start(rig.Options{Bin: libexec, Files: map[string]string{"bench.cm.hcl": p.policy(b.answer)}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	t := &target{name: p.name, addr: loopback(p.port), pid: broker.PID, stop: broker.Stop}
	if err := t.ready(10*time.Second, ask); err != nil {
		t.stop()
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, broker.Stderr())
	}
	return &running{t, broker}, nil
}
