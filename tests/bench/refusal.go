package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"casemate/tests/root/rig"
)

// Who is refused by address, in all comparisons of refusals, and how many attempts a second xinetd, which forks for
// each of them, and a flood send.
const (
	refusedNet  = "127.2.0.0/16"
	refusedFrom = "127.2.0.1"
	fewAttempts = 500
	attempts    = 20000

	// More rounds than others make, and shorter ones: the spread is told from many.
	refusalRounds, refusalShare = 3, 6
)

// refusingHCL is a policy of one service that refuses refusedNet.
const refusingHCL = `
acl "but" {
  deny { from = ["` + refusedNet + `"] }
  allow { from = ["127.0.0.0/8"] }
}
`

// refusing is a product whose service refuses that way.
func refusing(name, refuse string, port uint16) product {
	return product{name: name, port: port, more: refusingHCL, acl: "but", refuse: refuse}
}

// xinetdRefuses is xinetdArgs with its own host rule.
func xinetdRefuses(binary, dir string, program []string, port uint16) ([]string, error) {
	args, err := xinetdArgs(binary, dir, program, port)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "xinetd.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		return nil, err
	}
	return args, os.WriteFile(conf, []byte(strings.Replace(string(text), "\tdisable ", "\tno_access   = "+refusedNet+"\n\tdisable ", 1)), 0o644)
}

// refuser is somebody who refuses, at one of the two paces.
type refuser struct {
	*target
	silent bool
	pace   int
}

// refusal is one stretch of attempts: the server's processor time in sample, and that with what the sender took beyond what the same
// SYNs take that lead nowhere.
type refusal struct{ server, whole []sample }

// compareRefusals measures what it costs to refuse a connection by its address.
func compareRefusals(ctx context.Context, b *bench) error {
	var all []refuser
	defer func() {
		for _, t := range all {
			t.stop()
		}
	}()
	for i, refuse := range []string{"silent", "reset"} {
		t, err := b.product(ctx, refusing(refuse, refuse, b.port(i)))
		if err != nil {
			return err
		}
		all = append(all, refuser{t.target, refuse == "silent", attempts})
		c, err := least(ctx, refuse+" in C", []string{b.refuser, refuse}, b.port(2+i), listens)
		if err != nil {
			return err
		}
		all = append(all, refuser{c, refuse == "silent", attempts})
	}
	x := peers[1]
	x.args = xinetdRefuses
	t, err := x.start(ctx, b.cache, []string{b.answer}, b.port(4))
	if err != nil {
		return err
	}
	all = append(all, refuser{t, false, fewAttempts})
	got, err := b.refuse(ctx, all)
	if err != nil {
		return err
	}
	b.reportRefusals(got)
	return nil
}

// refuse floods each in turns.
func (b *bench) refuse(ctx context.Context, all []refuser) (map[string]*refusal, error) {
	out := map[string]*refusal{}
	for round := -1; round < refusalRounds*b.rounds; round++ {
		base := map[int]float64{} // nanoseconds of a SYN that leads nowhere, by pace
		for i := range all {
			r := all[(i+max(round, 0))%len(all)]
			f := attack{from: refusedFrom, sources: 64, rate: r.pace, window: 64}
			if base[r.pace] == 0 {
				away, err := f.run(ctx, b, b.span/refusalShare)
				if err != nil {
					return nil, err
				}
				base[r.pace] = float64(away.cpu) / float64(away.attempts)
			}
			f.to = r.addr
			before, err := rig.CPU(r.pid)
			if err != nil {
				return nil, err
			}
			sent, err := f.run(ctx, b, b.span/refusalShare)
			if err != nil {
				return nil, err
			}
			time.Sleep(50 * time.Millisecond) // for who is behind
			after, err := rig.CPU(r.pid)
			if err != nil {
				return nil, err
			}
			if round < 0 {
				out[r.name] = new(refusal)
				continue
			}
			if r.silent != (sent.silent > sent.attempts/2) {
				return nil, fmt.Errorf("%s: %+v", r.name, sent)
			}
			cpu := after - before
			own := sent.cpu - time.Duration(base[r.pace]*float64(sent.attempts))
			out[r.name].server = append(out[r.name].server, sample{served: sent.attempts, cpu: cpu, elapsed: sent.took})
			out[r.name].whole = append(out[r.name].whole, sample{served: sent.attempts, cpu: cpu + own, elapsed: sent.took})
		}
	}
	return out, nil
}

// reportRefusals adds the rows: of the server alone, and with what the kernel does about the packets in the sender's own time.
func (b *bench) reportRefusals(got map[string]*refusal) {
	for _, way := range []struct {
		name string
		held *aim
	}{{"silent", atMost(0.05)}, {"reset", nil}} {
		for _, part := range []struct {
			what string
			of   func(*refusal) []sample
		}{{"server", func(r *refusal) []sample { return r.server }}, {"server and kernel", func(r *refusal) []sample { return r.whole }}} {
			figures := duel{}
			for name, r := range got {
				figures[name] = part.of(r)
			}
			floor := figures.sum(way.name + " in C")
			r := result{Work: fmt.Sprintf("refusal by address, %s: processor time of the %s", way.name, part.what), Unit: "µs",
				Ours: figures.sum(way.name), Peers: []figure{{"xinetd", figures.sum("xinetd")}}, Floor: &floor}
			b.results.add(r.to("xinetd", processor(figures[way.name], figures["xinetd"]), way.held))
		}
	}
}
