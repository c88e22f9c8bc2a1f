package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// bubblewrap is what sandboxes a peer's program: a program that is started for each connection.
var bubblewrap = peer{name: "bubblewrap", pkg: "bubblewrap", path: "usr/bin/bwrap"}

// compareBubblewrap measures casemate against a peer, the best, that starts the program under bubblewrap: targets
// has casemate's and its own.
func (b *bench) compareBubblewrap(ctx context.Context, best string, targets []*target) error {
	binary, _, err := bubblewrap.obtain(ctx, b.cache)
	if err != nil {
		return err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	// All of its namespaces, among them one of users, for the peer starts it as nobody; and no /dev, whose nodes
	// would be mounts of their own.
	wrapped := []string{binary, "--unshare-all", "--ro-bind", "/usr", "/usr", "--ro-bind", b.answer, "/answer", "--tmpfs", "/tmp",
		"--proc", "/proc", "--cap-drop", "ALL", "--new-session", "/answer"}
	p := peers[slices.IndexFunc(peers, func(p peer) bool { return p.name == best })]
	t, err := p.start(ctx, b.cache, wrapped, b.port(41))
	if err != nil {
		return fmt.Errorf("bubblewrap by %s: %w", best, err)
	}
	defer t.stop()
	t.name = "bubblewrap by " + best
	pair := []*target{t, targets[slices.IndexFunc(targets, func(t *target) bool { return t.name == ours })]}
	d, err := inTurns(ctx, pair, clients, b.rounds, b.span)
	if err != nil {
		return err
	}
	r := result{Work: fullWork, Unit: "conn/s", Ours: d.median(ours, rateOf), Peers: d.figures([]string{t.name}, rateOf)}
	b.results.add(r.to(t.name, about(d.ratios(ours, t.name, rateOf)), atLeast(4)).briefly())
	return nil
}
