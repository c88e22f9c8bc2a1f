package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
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
	// idle are services beside the measured one, each on an address of its own (idleAddr).
	idle int
	// wide is how many further ports the measured service listens on, from firstWide on.
	wide      int
	firstWide uint16
	// live is how many sessions another service is to hold, which is there if there are any.
	live int
	// denied is how many prefixes the measured service's acl denies, none of them a client's here.
	denied int
	linger time.Duration
	// more is policy text beside it; acl, limit and refuse are what the measured service has of it, "" being the usual.
	more, acl, limit, refuse string
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

// holds is where sessions are held, and idleAddr where the i-th idle service is.
func (p product) holds() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, 0, 1}), p.port)
}

func (p product) idleAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)}), p.port)
}

// policy is the product's policy: files of as many services as one may have.
func (b *bench) policy(p product) map[string]string {
	const perFile = 1000
	service := func(s *strings.Builder, name, listen, program, acl, limit string) {
		fmt.Fprintf(s, "\nservice %q {\n  listen  = [%s]\n  command = [%q]\n  user    = \"nobody\"\n"+
			"  acl     = acl.%s\n  limit   = limit.%s\n  profile = profile.%s\n", name, listen, program, acl, limit, cmp.Or(p.profile, "bench"))
		if p.linger > 0 {
			fmt.Fprintf(s, "  linger  = %q\n", p.linger)
		}
		if p.relay {
			s.WriteString("  stdio = \"relay\"\n")
		}
		if p.refuse != "" {
			fmt.Fprintf(s, "  refuse  = %q\n", p.refuse)
		}
		s.WriteString("}\n")
	}
	tcp := func(at netip.AddrPort) string { return fmt.Sprintf("%q", "tcp://"+at.String()) }
	listen := tcp(loopback(p.port))
	for done := 0; done < p.wide; {
		n := min(p.wide-done, 1000) // a range has its own limit
		first := int(p.firstWide) + done
		listen += fmt.Sprintf(`, "tcp://127.0.0.1:%d-%d"`, first, first+n-1)
		done += n
	}
	var main strings.Builder
	main.WriteString(everyLayerHCL)
	main.WriteString(aclHCL(p.denied) + p.more)
	service(&main, "answer", listen, b.answer, cmp.Or(p.acl, "measured"), cmp.Or(p.limit, "none"))
	if p.live > 0 {
		service(&main, "hold", tcp(p.holds()), b.holder, "anyone", "none")
	}
	files := map[string]string{"bench.cm.hcl": main.String()}
	for first := 0; first < p.idle; first += perFile {
		var s strings.Builder
		s.WriteString("policy { edition = 1 }\n")
		for i := first; i < min(first+perFile, p.idle); i++ {
			service(&s, fmt.Sprintf("idle-%d", i), tcp(p.idleAddr(i)), b.answer, "anyone", "default")
		}
		files[fmt.Sprintf("idle-%d.cm.hcl", first)] = s.String()
	}
	return files
}

// aclHCL denies so many prefixes, up to 65,536, of which no two are one, in lists as long as one may be, and admits the rest.
func aclHCL(denied int) string {
	const perList = 4096
	var s strings.Builder
	s.WriteString("\nacl \"measured\" {\n")
	for i := range denied {
		if i%perList == 0 {
			s.WriteString("  deny { from = [")
		}
		fmt.Fprintf(&s, `"10.%d.%d.0/25",`, i>>8, i&255)
		if i%perList == perList-1 || i == denied-1 {
			s.WriteString("] }\n")
		}
	}
	s.WriteString("  allow { from = [\"any\"] }\n}\n")
	return s.String()
}

// product starts one casemated and waits until it answers.
func (b *bench) product(_ context.Context, p product) (*running, error) {
	libexec, err := filepath.Abs(cmp.Or(p.bin, b.libexec))
	if err != nil {
		return nil, err
	}
	broker, err := rig.Start(rig.Options{Bin: libexec, Files: b.policy(p)})
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
