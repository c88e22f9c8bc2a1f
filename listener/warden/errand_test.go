package warden

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/listener"
	"casemate/policy/granted"

	"golang.org/x/sys/unix"
)

// pair is a link as errands go over it.
func pair(t testing.TB) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// TestErrands: what is sent arrives, with its descriptors, also where it is larger than a message.
func TestErrands(t *testing.T) {
	ours, theirs := pair(t)
	buf := make([]byte, MaxErrand+1)
	spec := listener.Spec{Mode: 0o600, UID: listener.KeepID, Backlog: 7, Wait: true}
	spec.Network, spec.Path = "unix", "/run/x"
	for _, text := range []string{"", strings.Repeat("x", MaxErrand), strings.Repeat("y", 5*MaxErrand)} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sent := Asked{ID: 1, Do: DoOpen, Number: 2, Services: []int{6, 7}, Specs: []listener.Spec{spec}, Name: text, PID: 3, UID: 4, Digest: "d", Spec: &spec}
		if err := Send(ours, sent, int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		var got Asked
		fds, err := Receive(theirs, buf, &got)
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Fatalf("%+v, %v, want %+v", got, err, sent)
		}
		var st, want unix.Stat_t
		if len(fds) != 1 || unix.Fstat(fds[0], &st) != nil || unix.Fstat(int(f.Fd()), &want) != nil || st.Ino != want.Ino {
			t.Errorf("descriptors %v", fds)
		}
		CloseAll(fds)
	}
	answer := Answer{ID: 9, Fault: &Fault{Text: "x"}, Number: 1, Same: true, Diagnostics: json.RawMessage(`[{"code":"CM1"}]`),
		Found: []Finding{{Found: Found{Sockets: []granted.Socket{{Spec: spec, Retry: true, Listen: 1}}, UID: 5, Dynamic: true, Key: "k", Files: "f", Stamp: "s", Outputs: 2}}, {Fault: &Fault{Text: "y"}}},
		Stamp: "s", Stamps: []string{"a", "b"}, PID: 3, Losses: []string{"l"}, Has: []bool{true, false},
		Cells:  []Made{{Number: 4, Losses: []string{"m"}, Proof: "p", Log: true, State: true, Inits: true, Events: [2]bool{true, false}}, {Fault: &Fault{Text: "z"}}},
		Opened: []Opening{{Number: 6, Spec: spec}, {Fault: &Fault{Text: "w"}}}}
	if err := Send(theirs, answer); err != nil {
		t.Fatal(err)
	}
	var got Answer
	if _, err := Receive(ours, buf, &got); err != nil || !reflect.DeepEqual(got, answer) {
		t.Errorf("%+v, %v, want %+v", got, err, answer)
	}
	unix.Shutdown(theirs, unix.SHUT_WR)
	if _, err := Receive(ours, buf, &got); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

// TestMalformedErrands: what is cut off, not strictly JSON, or a file that is none, is an error, and leaves no descriptor behind.
func TestMalformedErrands(t *testing.T) {
	ours, theirs := pair(t)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	for what, m := range map[string][]byte{
		"unknown field": []byte(`m{"Does":"open"}`), "two": []byte(`m{}{}`), "none": []byte(`m{`), "too long": bytes.Repeat([]byte("m"), MaxErrand+2), "a pipe": []byte("m"),
	} {
		if err := unix.Sendmsg(ours, m, unix.UnixRights(pipe[1]), nil, 0); err != nil {
			t.Fatal(err)
		}
		if fds, err := Receive(theirs, make([]byte, MaxErrand+1), new(Asked)); err == nil || fds != nil {
			t.Errorf("%s: %v, %v", what, fds, err)
		}
	}
	unix.Close(pipe[1])
	for n := 0; ; n++ { // all others are closed, perhaps in a moment
		one := []unix.PollFd{{Fd: int32(pipe[0])}}
		if _, err := unix.Poll(one, 100); err == nil && one[0].Revents&unix.POLLHUP != 0 {
			break
		}
		if n > 300 {
			t.Fatal("a descriptor was left behind")
		}
	}
}

// FuzzErrand: no message of a broker that was taken over does more than be refused.
func FuzzErrand(f *testing.F) {
	f.Add([]byte(`m{"ID":1,"Do":"open","Specs":[{"Network":"tcp4","Addr":"127.0.0.1:7","Settings":[0,0,0,0,0,0,0,0,0,0,0,0,0]}]}`))
	f.Add([]byte(`m{"ID":1,"Do":"plan","Number":1,"Services":[1]}`))
	f.Add([]byte("m"))
	f.Fuzz(func(t *testing.T, m []byte) {
		if len(m) == 0 || len(m) > 2*MaxErrand {
			return
		}
		ours, theirs := pair(t)
		if err := unix.Sendmsg(ours, m, nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		var q Asked
		_, err := Receive(theirs, make([]byte, MaxErrand+1), &q)
		if err != nil {
			return
		}
		b := &Broker{w: newWarden(t), docs: map[string]*granted.Document{}, sites: map[uint64]*surveyed{}, cells: map[uint64]*lent{}}
		switch q.Do {
		case DoCompile, DoForget, DoHelper, DoHelperStamp, DoAudit, DoLease, DoLeave, DoUndertake, DoTell: // these name nothing
			return
		}
		a, give, err := b.do(q, nil)
		if q.Do == DoOpen && err == nil && len(a.Opened) == len(q.Specs) && !slices.ContainsFunc(a.Opened, func(o Opening) bool { return o.Fault == nil }) {
			return // each is refused by itself
		}
		if err == nil || len(give) > 0 {
			t.Errorf("%+v: %+v, %v", q, a, give)
		}
	})
}

// FuzzTiding: a tiding that decodes is the one that was encoded.
func FuzzTiding(f *testing.F) {
	f.Add(Tiding{Kind: TellExit, N: [5]int64{1, 2, 3, 4, 5}}.Encode())
	f.Add(Tiding{Kind: TellTake, N: [5]int64{1, 2}, Text: []byte("{}")}.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, m []byte) {
		if got, err := DecodeTiding(m); err == nil && !bytes.Equal(got.Encode(), m) {
			t.Errorf("%x became %x", m, got.Encode())
		}
	})
}

// slowCell is one whose zygote takes its time.
type slowCell struct {
	Cell
	began, goOn, closed chan bool
}

func (c slowCell) Spawn() (Starter, error) {
	c.began <- true
	<-c.goOn
	return nil, errors.New("no zygote")
}

func (c slowCell) Close() error {
	c.closed <- true
	return nil
}

// TestCellsAreClosedOnce: a cell is closed when no zygote of it is being started any more, and by one errand alone: the numbers of its
// descriptors are others' after that.
func TestCellsAreClosedOnce(t *testing.T) {
	c := slowCell{began: make(chan bool, 8), goOn: make(chan bool), closed: make(chan bool, 8)}
	b := &Broker{w: newWarden(t), cells: map[uint64]*lent{1: {Cell: c}}}
	done := make(chan error, 8)
	do := func(e Errand) {
		go func() {
			_, _, err := b.do(Asked{Do: e, Number: 1}, nil)
			done <- err
		}()
	}
	do(DoSpawn)
	<-c.began
	do(DoCloseCell)
	do(DoCloseCell)
	if err := <-done; !errors.Is(err, errStrange) { // of the two the later one
		t.Errorf("closed twice: %v", err)
	}
	select {
	case <-c.closed:
		t.Error("closed while its zygote was being started")
	case <-time.After(50 * time.Millisecond):
	}
	close(c.goOn)
	<-done
	<-done
	if n := len(c.closed); n != 1 {
		t.Errorf("closed %d times", n)
	}
	if _, _, err := b.do(Asked{Do: DoSpawn, Number: 1}, nil); !errors.Is(err, errStrange) {
		t.Errorf("a cell that is closed: %v", err)
	}
}

// TestNobodyListens: what one end does not take is kept for it, but not without end.
func TestNobodyListens(t *testing.T) {
	ours, _ := pair(t)
	own, err := unix.Dup(ours) // the wire closes it
	if err != nil {
		t.Fatal(err)
	}
	w, ended := newWarden(t), 0
	_ = w.loop.Do(func() {
		wire, err := NewWire(w.loop, own, func(Tiding) {}, func(error) { ended++ })
		if err != nil {
			t.Error(err)
			return
		}
		for range 1 << 16 {
			wire.Send(Tiding{Kind: TellExit})
		}
		if ended != 0 || len(wire.unsent) < 1<<15 {
			t.Errorf("ended %d times, %d kept: a broker that is stopped for a while loses them", ended, len(wire.unsent))
		}
		for range maxUnsent {
			wire.Send(Tiding{Kind: TellExit})
		}
		if ended != 1 || len(wire.unsent) != 0 {
			t.Errorf("ended %d times, %d kept", ended, len(wire.unsent))
		}
	})
}

// TestDocumentIsListedOnce: a broker asks that a host is read for each service that has changed; what all of the document listens on is noted
// with the first of these alone.
func TestDocumentIsListedOnce(t *testing.T) {
	doc := crowded(10)
	b := &Broker{w: newWarden(t), docs: map[string]*granted.Document{doc.Digest: doc}, sites: map[uint64]*surveyed{}, specs: map[string]map[listener.Spec]bool{}}
	site, _, err := b.do(Asked{Do: DoSite, Digest: doc.Digest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{10, 0} {
		if _, _, err := b.do(Asked{Do: DoRead, Number: site.Number}, nil); err != nil {
			t.Fatal(err)
		}
		if n := len(b.specs[doc.Digest]); n != want {
			t.Errorf("question %d notes %d sockets, want %d", i, n, want)
		}
		delete(b.specs, doc.Digest)
	}
}

// TestErrandsTakeNoMoreThanTheyName: a broker that was taken over has no more made by root than a load takes: few sites, and a plan for each
// job, however often it names that.
func TestErrandsTakeNoMoreThanTheyName(t *testing.T) {
	doc, err := newDocument(testPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{w: newWarden(t), docs: map[string]*granted.Document{doc.Digest: doc}, sites: map[uint64]*surveyed{}, cells: map[uint64]*lent{}}
	var last Answer
	for range 1000 {
		if a, _, err := b.do(Asked{Do: DoSite, Digest: doc.Digest}, nil); err == nil {
			last = a
		}
	}
	if n := len(b.sites); n == 0 || n > maxSites {
		t.Errorf("%d sites", n)
	}
	site := b.sites[last.Number]
	site.jobs[0] = &Job{fault: errors.New("it was prepared")}
	if _, _, err := b.do(Asked{Do: DoLeaveSite, Number: last.Number}, nil); err != nil {
		t.Fatal(err)
	}
	var a Answer // of an errand that had the site, and waited for its lock while it was left
	if b.prepareAll(site, []int{0}, &a); a.Cells[0].Fault == nil || a.Cells[0].Fault.Text != errStrange.Error() || len(site.programs) > 0 {
		t.Errorf("of a site that was left is made %+v, which nobody gives back", a.Cells[0])
	}
	if last, _, err = b.do(Asked{Do: DoSite, Digest: doc.Digest}, nil); err != nil {
		t.Errorf("another one after one was left: %v", err)
	}
	b.sites[last.Number].jobs[0] = &Job{Profile: site.doc.Policy.Profiles[0]} // which has no plan without a command
	plan := func(services int) float64 {
		q := Asked{Do: DoPlan, Number: last.Number, Services: make([]int, services)}
		return testing.AllocsPerRun(10, func() {
			if _, _, err := b.do(q, nil); err != nil {
				t.Error(err)
			}
		})
	}
	if one, many := plan(1), plan(5000); many > one+100 {
		t.Errorf("one job, named 5000 times, takes %v allocations, %v if named once", many, one)
	}
}
