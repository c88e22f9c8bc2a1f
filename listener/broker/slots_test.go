package broker

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

func slotsOf(t *testing.T, path string) *slots {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &slots{file: f}
}

// TestSlots: the newest text that is whole comes back, also where the last write was cut short anywhere.
func TestSlots(t *testing.T) {
	path := t.TempDir() + "/said"
	s := slotsOf(t, path)
	if text, err := s.read(); text != nil || err != nil {
		t.Errorf("of an empty file %q, %v", text, err)
	}
	for i := range 5 {
		want := bytes.Repeat(fmt.Appendf(nil, "%d", i), 100-10*i)
		if err := s.write(want); err != nil {
			t.Fatal(err)
		}
		s = slotsOf(t, path)
		if got, err := s.read(); err != nil || !bytes.Equal(got, want) || s.newest != uint64(i+1) {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := slotOf(6, []byte("the next one"))
	for n := range next { // place 0, in which the fourth lies
		cut := bytes.Clone(whole)
		copy(cut, next[:n])
		if err := os.WriteFile(path, cut, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := slotsOf(t, path).read(); err != nil || !bytes.HasPrefix(got, []byte("44")) {
			t.Errorf("cut at %d: %q, %v", n, got, err)
		}
	}
	if err := os.WriteFile(path, []byte("no slots"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := slotsOf(t, path).read(); err == nil {
		t.Error("what is no such file is taken for an empty one")
	}
	if s.write(make([]byte, slotSize)) == nil || (&slots{}).write(nil) == nil {
		t.Error("what is too large, or has no file, is kept")
	}
}

func FuzzParseSlot(f *testing.F) {
	f.Add(slotOf(7, []byte("{}")))
	f.Add([]byte("1 99999999999999999999 x\n"))
	f.Add([]byte("1 -1 x\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if number, text, ok := parseSlot(in); ok && !bytes.HasPrefix(in, slotOf(number, text)) {
			t.Errorf("%d, %q of %q", number, text, in)
		}
	})
}
