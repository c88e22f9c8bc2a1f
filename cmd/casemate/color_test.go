package main

import (
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"
)

// TestColorIsForTerminals: with --color auto each stream is painted where it is a terminal itself: neither
// a pipe nor /dev/null is one, whatever the other stream is.
func TestColorIsForTerminals(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	null, tty := open("/dev/null"), open("/dev/ptmx")
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer pipe.Close()
	for _, tt := range []struct {
		name     string
		color    string
		out, err io.Writer
		outs     bool
		errs     bool
	}{
		{"a pipe and /dev/null", "auto", pipe, null, false, false},
		{"a pipe and a terminal", "auto", pipe, tty, false, true},
		{"a terminal and a pipe", "auto", tty, pipe, true, false},
		{"no files", "auto", io.Discard, io.Discard, false, false},
		{"always", "always", pipe, pipe, true, true},
		{"never", "never", tty, tty, false, false},
	} {
		a := &app{out: tt.out, err: tt.err, format: "text", control: "x", color: tt.color}
		if err := a.settle(&cobra.Command{}); err != nil {
			t.Fatal(err)
		}
		if got := a.paint("1")("x") != "x"; got != tt.outs {
			t.Errorf("%s: standard output is painted: %t", tt.name, got)
		}
		if got := a.paintErr("1")("x") != "x"; got != tt.errs {
			t.Errorf("%s: standard error is painted: %t", tt.name, got)
		}
	}
}
