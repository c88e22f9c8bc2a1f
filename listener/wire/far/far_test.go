package far

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	. "casemate/listener/wire"
)

// messages are one of each kind, and how each is read.
var (
	orders = []Order{{Kind: Records, ID: 1, Name: strings.Repeat("n", 255)}, {Kind: Ping},
		{Kind: Audit}, {Kind: Text, ID: 1 << 60, Name: "finger"}, {Kind: Syslog, ID: 1 << 59, Name: "finger"}, {Kind: Last},
		{Kind: Filter, Name: strings.Repeat("n", MaxOrder-Head)}, {Kind: Member, ID: 1 << 58, Token: 1 << 63}, {Kind: Over, ID: 7},
		{Kind: Attach},
		{Kind: Killed, ID: 1 << 57, Token: 77, Name: "{}"},
		{Kind: Ask, ID: 1 << 63, Name: string(netip.MustParseAddr("192.0.2.1").AsSlice())}, {Kind: Ask, Name: string(netip.MustParseAddr("2001:db8::1").AsSlice())}}
	reports = []Report{{Kind: Done, ID: 1 << 63, Of: Syslog}, {Kind: Refused, Of: 1}, {Kind: Pong}, {Kind: Last}, {Kind: Lines, LogText: []byte("{}\n{}\n")},
		{Kind: Counted, ID: 9, Counts: &Counts{CountLive: 1, CountAdmitted: 1 << 40, CountRefused: 3, len(Counts{}) - 1: 1<<64 - 1}},
		{Kind: Whose, ID: 1 << 62, PIDs: []int32{1, 1 << 22, -1}}, {Kind: Whose, ID: 1, PIDs: make([]int32, MaxPIDs)},
		{Kind: Named, ID: 1, Name: decide.Name{State: decide.Known, Host: "a.example.org"}}, {Kind: Named, ID: 2, Name: decide.Name{State: decide.Unknown}},
		{Kind: Named, ID: 3, Name: decide.Name{State: decide.Paranoid}}, {Kind: Named, ID: 1 << 63, Name: decide.Name{State: decide.NoAnswer}},
		{Kind: Named, ID: 5, Name: decide.Name{State: decide.Known, Host: strings.Repeat("a", acl.MaxHost)}}}
)

// fds is how many descriptors an order goes with.
func fds(k Kind) int {
	if k == Text || k == Syslog || k == Records || k == Audit || k == Filter {
		return 1
	}
	if k == Attach {
		return 2
	}
	return 0
}

func same[M any](t *testing.T, want M, largest int, m []byte, decode func([]byte) (M, error)) {
	t.Helper()
	got, err := decode(m)
	if err != nil || !reflect.DeepEqual(got, want) || len(m) > largest {
		t.Errorf("%+v came back as %+v, %v, of %d bytes", want, got, err, len(m))
	}
	if _, err := decode(m[:len(m)-1]); err == nil {
		_, text := any(want).(Order)
		r, _ := any(want).(Report)
		if !text && r.Kind != Named { // a name may be shorter: a message comes whole or not at all
			t.Errorf("%+v without its last byte was taken", want)
		}
	}
}

func TestMessagesComeBack(t *testing.T) {
	for _, o := range orders {
		same(t, o, MaxOrder, o.Encode(), func(m []byte) (Order, error) { return DecodeOrder(m, fds(o.Kind)) })
		if _, err := DecodeOrder(o.Encode(), 1-fds(o.Kind)); err == nil {
			t.Errorf("%+v was taken with %d descriptors", o, 1-fds(o.Kind))
		}
	}
	for _, r := range reports {
		same(t, r, MaxReport, EncodeReport(r), DecodeReport)
	}
}

// What only a worker that was taken over sends.
func TestMessagesAreRefused(t *testing.T) {
	answer := func(state Kind, host string) []byte { return Frame(Named, 1, uint64(state), []byte(host)) }
	for _, m := range [][]byte{answer(0, ""), answer(5, ""), answer(1, ""), answer(2, "x"), answer(4, "x"), answer(1, "A"), answer(1, "a\nb"), answer(1, "a="),
		answer(1, "-rf"), answer(1, "a."), answer(1, strings.Repeat("a", acl.MaxHost+1))} {
		if r, err := DecodeReport(m); err == nil || r.Kind != 0 {
			t.Errorf("answer %q: %+v, %v", m, r, err)
		}
	}
	numbers := strings.Repeat("\x00", Head-1)
	for _, m := range []string{"", "L", "L\n ", "X\n", "D1234567", "what?", "L" + numbers, "L" + numbers + "\n ", "X" + numbers + "\n", "D" + numbers + "1",
		"D" + strings.Repeat("\x01", Head-1), "C" + numbers + "1", "W" + numbers, "W" + numbers + "1234x", "W" + numbers + strings.Repeat("1234", MaxPIDs+1)} {
		if r, err := DecodeReport([]byte(m)); err == nil || r.Kind != 0 {
			t.Errorf("report %q: %+v, %v", m, r, err)
		}
	}
}

// FuzzMessages: no message makes a decoder panic, and what it takes is what the
// encoder would have sent.
func FuzzMessages(f *testing.F) {
	for _, o := range orders {
		f.Add(o.Encode(), fds(o.Kind))
	}
	for _, r := range reports {
		f.Add(EncodeReport(r), 0)
	}
	f.Add([]byte(`{"service":"e","builtin":"echo","acl":null,"limit":{},"linger_ns":1,"digest":"d"}`), 0)
	f.Fuzz(func(t *testing.T, m []byte, fds int) {
		if o, err := DecodeOrder(m, fds); err == nil && !bytes.Equal(o.Encode(), m) {
			t.Errorf("order %+v of %q", o, m)
		}
		if r, err := DecodeReport(m); err == nil && !bytes.Equal(EncodeReport(r), m) {
			t.Errorf("report %+v of %q", r, m)
		}
		c, err := DecodeBuiltin(bytes.NewReader(m))
		if err != nil {
			return
		}
		text, err := c.Encode() // JSON has many forms of one value, and the encoder one
		if err != nil {
			return // a pattern or duration that decodes and has no text is refused by the worker
		}
		again, err := DecodeBuiltin(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%q is not read back: %v", text, err)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, text) {
			t.Errorf("%q came back as %q, %v", text, twice, err)
		}
	})
}
