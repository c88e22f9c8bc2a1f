package zygote

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlanIsTheZygotesAlone: the broker is handed the memory that the plan came in, for the marks in it (HandOver). What
// it writes there changes no user, ruleset, command, environment or filter of a zygote that has entered its sandbox.
func TestPlanIsTheZygotesAlone(t *testing.T) {
	const was, other = "as the policy says", "as the broker says"
	for _, before := range []string{"", strings.Repeat("x", 3*MarksSize)} { // in the first page, in which the zygote has written, and beyond
		planIsAlone(t, spawn(t, plain(t, "/bin/sh", "-c", "echo $2", "sh", before, was)), was, other)
	}
}

func planIsAlone(t *testing.T, z *Zygote, was, other string) {
	t.Helper()
	all := make([]byte, 1<<20)
	n, err := unix.Pread(z.mem, all, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(z.mem, MarksSize); err != nil { // which takes pages from private mappings, too
		t.Fatal(err)
	}
	if _, err := unix.Pwrite(z.mem, bytes.ReplaceAll(all[:n], []byte(was), []byte(other)), 0); err != nil {
		t.Fatal(err)
	}
	out, r := start(t, z, Request{ID: 1})
	if r.Err() != nil || out != was+"\n" {
		t.Fatalf("it runs %q (%v), want %q", out, r.Err(), was)
	}
	exitStatus(t, r.PID)
}
