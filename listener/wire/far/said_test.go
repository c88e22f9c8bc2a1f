package far

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/ban"
	. "casemate/listener/wire"
)

// at is a file whose bytes at SaidAt are these.
type at []byte

func (a at) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(a).ReadAt(p, off-SaidAt)
}

// TestSaidComesBack: what is said comes whole, once for each version, or is known to be torn.
func TestSaidComesBack(t *testing.T) {
	want := &Said{Narrowed: 2, Leave: true, Admits: &acl.List{Name: "office", Default: acl.Deny}, State: ban.State{Bans: []ban.Ban{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Service: "echo", Since: time.Unix(7, 0).UTC(), Until: time.Unix(9, 0).UTC(), UID: 8, Ends: true}},
		Drains: []ban.Drain{{Service: "echo", Since: time.Unix(7, 0).UTC()}}}}
	text, err := EncodeSaid(3, want)
	if err != nil {
		t.Fatal(err)
	}
	version, got, err := DecodeSaid(at(text), 2)
	if err != nil || version != 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d, %+v, %v", version, got, err)
	}
	if version, got, err := DecodeSaid(at(text), 3); version != 3 || got != nil || err != nil {
		t.Errorf("the same again: %d, %+v, %v", version, got, err)
	}
	if version, got, err := DecodeSaid(at(nil), 0); version != 0 || got != nil || err != nil {
		t.Errorf("nothing: %d, %+v, %v", version, got, err)
	}
	for n := SaidVersion; n < len(text); n++ {
		if _, _, err := DecodeSaid(at(text[:n]), 0); !errors.Is(err, ErrTorn) {
			t.Fatalf("its first %d bytes: %v", n, err)
		}
	}
	torn := bytes.Clone(text)
	torn[0]++ // the version of the one that is being written
	if _, _, err := DecodeSaid(at(torn), 0); !errors.Is(err, ErrTorn) {
		t.Errorf("another version: %v", err)
	}
	if _, _, err := DecodeSaid(broken{}, 0); err == nil || errors.Is(err, ErrTorn) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func FuzzDecodeSaid(f *testing.F) {
	text, _ := EncodeSaid(1, &Said{State: ban.State{Drains: []ban.Drain{{Service: "echo"}}}})
	f.Add(text)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		version, s, err := DecodeSaid(at(in), 0)
		if err != nil && s != nil {
			t.Error("an error with a result")
		}
		if s == nil {
			return
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		again, err := EncodeSaid(version, s)
		if err != nil {
			t.Fatal(err)
		}
		if v, back, err := DecodeSaid(at(again), 0); err != nil || v != version || !reflect.DeepEqual(back, s) {
			t.Errorf("%+v came back as %+v, %v", s, back, err)
		}
	})
}
