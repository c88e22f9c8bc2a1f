package program

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCheck: what no filter has is refused, wherever it stands. The control is the same program without it.
func TestCheck(t *testing.T) {
	whole := func(more ...instruction) []instruction {
		return append(append(slices.Clone(front), more...), instruction{opRet, 0, 0, retAllow})
	}
	for _, good := range [][]instruction{
		whole(), whole(instruction{opJEQ, 0, 1, 7}, instruction{opRet, 0, 0, retKillProcess}), whole(instruction{opJA, 0, 0, 0}),
		whole(instruction{opAnd, 0, 0, 7}, instruction{opLoad, 0, 0, 60}, instruction{opRet, 0, 0, retErrno | uint32(unix.ENOSYS)}),
	} {
		f := Filter{Program: encode(good), Seal: encode(good[len(front):])}
		if err := f.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for what, bad := range map[string][]byte{
		"no program":                  nil,
		"another architecture":        encode([]instruction{{opRet, 0, 0, retAllow}}),
		"half an instruction":         encode(whole())[:len(encode(whole()))-3],
		"no end":                      encode(front),
		"a jump past the end":         encode(whole(instruction{opJEQ, 0, 1, 7})),
		"a long one":                  encode(whole(instruction{opJA, 0, 0, 1})),
		"and one around":              encode(whole(instruction{opJA, 0, 0, ^uint32(0)})),
		"greater, past the end":       encode(whole(instruction{opJGE, 3, 0, 7})),
		"beyond the call":             encode(whole(instruction{opLoad, 0, 0, 64})),
		"between two words":           encode(whole(instruction{opLoad, 0, 0, 2})),
		"a listener's answer":         encode(whole(instruction{opRet, 0, 0, 0x7fc00000})),
		"a tracer's":                  encode(whole(instruction{opRet, 0, 0, 0x7ff00000})),
		"success":                     encode(whole(instruction{opRet, 0, 0, retErrno})),
		"the accumulator":             encode(whole(instruction{0x16, 0, 0, 0})),
		"memory":                      encode(whole(instruction{0x02, 0, 0, 0})),
		"the length of a packet":      encode(whole(instruction{0x80, 0, 0, 0})),
		"too many instructions":       encode(whole(make([]instruction, MaxInstructions)...)),
		"one that the kernel has not": encode(whole(instruction{0xff, 0, 0, 0})),
	} {
		f := Filter{Program: bad}
		if err := f.Check(); err == nil {
			t.Errorf("%s is a program", what)
		}
		if what == "no program" || what == "another architecture" {
			continue
		}
		f = Filter{Program: encode(whole()), Seal: bad}
		if err := f.Check(); err == nil {
			t.Errorf("%s is a seal", what)
		}
	}
}

// TestFill: blanks that are compared are filled in, and others refused.
func TestFill(t *testing.T) {
	f := Filter{Program: encode([]instruction{{opJEQ, 0, 0, Blank + 2}, {opJEQ, 0, 0, Blank + FDCount}, {opJEQ, 0, 0, Blank - 1}, {opJEQ, 0, 0, Blank + FDCount + 1}})}
	got, _, err := f.Fill(64, 1000)
	if want := encode([]instruction{{opJEQ, 0, 0, 64 + 2}, {opJEQ, 0, 0, 1000}, {opJEQ, 0, 0, Blank - 1}, {opJEQ, 0, 0, Blank + FDCount + 1}}); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %x, want %x", err, got, want)
	}
	for _, code := range []uint16{opAnd, opJGE, opJGT, opRet} {
		f := Filter{Seal: encode([]instruction{{code, 0, 0, Blank}})}
		if _, _, err := f.Fill(64, 1000); err == nil || !strings.Contains(err.Error(), "equality") {
			t.Errorf("%#x: %v", code, err)
		}
	}
}
