package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func suppressed(n int) *Suppressed {
	return &Suppressed{At: time.Unix(0, 0), What: Refusals, Service: strings.Repeat("x", 500), Count: uint64(n)}
}

// count reads a log: whole lines of JSON and, where torn allows it, pieces of
// lines. It returns the records of msg and the sum of what was dropped.
func count(t *testing.T, text, msg string, torn int) (records int, dropped uint64) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r struct {
			Msg     string
			Count   uint64
			Version int `json:"format_version"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			if torn--; torn < 0 {
				t.Fatalf("line %.80q: %v", line, err)
			}
			continue
		}
		if r.Version != FormatVersion {
			t.Errorf("no format_version in %s", line)
		}
		switch r.Msg {
		case msg:
			records++
		case "log-dropped":
			dropped += r.Count
		}
	}
	return records, dropped
}

// TestNeverBlocks: a log nobody reads costs records, never who writes them.
func TestNeverBlocks(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	j := New(w, false)
	total := 0
	for range 200 {
		for range 100 {
			j.Put(suppressed(1))
			total++
		}
		j.Flush()
	}
	if j.dropped.Load() == 0 {
		t.Error("nothing was dropped")
	}
	j.Close(0)
	got := make(chan string)
	go func() {
		var b bytes.Buffer
		b.ReadFrom(r)
		got <- b.String()
	}()
	<-j.closed
	w.Close()
	written, dropped := count(t, <-got, Refusals, 0)
	if uint64(written)+dropped != uint64(total) {
		t.Errorf("%d written and %d counted as dropped, of %d", written, dropped, total)
	}
}

// TestQueueIsBoundedInBytes: lines that another writer has made count with what they are, and
// each of those that are left out is counted.
func TestQueueIsBoundedInBytes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	j := New(w, false)
	var one bytes.Buffer
	for range 64 {
		fmt.Fprintf(&one, "{\"msg\":\"stderr\",\"format_version\":%d,\"text\":\"%s\"}\n", FormatVersion, strings.Repeat("x", 400))
	}
	const messages = 1000
	for range messages {
		j.Put(Lines(bytes.Clone(one.Bytes())))
		if n := j.waiting.Load(); n > maxQueued || j.size > flushAt+int64(one.Len()) {
			t.Fatalf("%d bytes are queued, and %d are put", n, j.size)
		}
	}
	j.Close(0)
	got := make(chan string)
	go func() {
		var b bytes.Buffer
		b.ReadFrom(r)
		got <- b.String()
	}()
	<-j.closed
	w.Close()
	written, dropped := count(t, <-got, "stderr", 0)
	if dropped == 0 || uint64(written)+dropped != 64*messages {
		t.Errorf("%d written and %d counted as dropped, of %d", written, dropped, 64*messages)
	}
	if written*450 < maxQueued/2 {
		t.Errorf("%d lines were kept: the queue is smaller than it may be", written)
	}
}

func TestPriority(t *testing.T) {
	var b bytes.Buffer
	j := New(&b, true)
	j.Put(&Session{Reason: Crash})
	j.Put(&Session{Reason: Exit})
	j.Put(&Note{Level: slog.LevelError})
	j.Put(Lines("<7>as it is\n"))
	j.Close(10 * time.Second)
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{"<4>{", "<6>{", "<3>{", "<7>as it is"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %s...", i, lines[i], want)
		}
	}
}

// disk is a file on a disk with so much room.
type disk struct {
	mu   sync.Mutex
	room int
	text []byte
}

var errFull = errors.New("no space left")

func (d *disk) Write(p []byte) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = min(len(p), d.room)
	d.text, d.room = append(d.text, p[:n]...), d.room-n
	if n < len(p) {
		err = errFull
	}
	return n, err
}

func (d *disk) grow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

// TestFullDiskTearsNoLine: wherever the room ends, what follows is whole again,
// and every line that is missing is counted.
func TestFullDiskTearsNoLine(t *testing.T) {
	one := len(lineOf(suppressed(1)))
	for room := range 3 * one {
		d := &disk{room: room}
		l := lines{to: d, enc: newEncoder(false)}
		total := 0
		for range 3 {
			l.write(bytes.Repeat(lineOf(suppressed(1)), 4))
			total += 4
		}
		for range 40 { // a little at a time: the count itself may not fit
			d.grow(10)
			l.mend()
		}
		d.grow(1 << 20)
		l.write(lineOf(suppressed(1)))
		written, dropped := count(t, string(d.text), Refusals, 41)
		if uint64(written)+dropped != uint64(total)+1 || !bytes.HasSuffix(d.text, append([]byte{'\n'}, lineOf(suppressed(1))...)) {
			t.Fatalf("room for %d: %d written and %d counted of %d:\n%s", room, written, dropped, total+1, d.text)
		}
	}
}

// TestFullDiskIsCounted is the same through the writer, on a real full device.
func TestFullDiskIsCounted(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	j := New(full, false)
	for range 10 {
		j.Now(suppressed(1))
	}
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Switch(f); err != nil {
		t.Fatal(err)
	}
	j.Now(suppressed(1))
	j.Close(10 * time.Second)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if written, dropped := count(t, string(text), Refusals, 0); written != 1 || dropped != 10 {
		t.Errorf("%d written, %d dropped: %s", written, dropped, text)
	}
	if _, err := full.Write(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the stream before is open: %v", err)
	}
}

// TestTornLogIsMended: a log that ends within a line is written on with a line of
// its own, whether it is opened again or was left so by an earlier writer; and the
// count of what is missing is never in one line with what follows.
func TestTornLogIsMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	tear := func() {
		if _, err := open().WriteString(`{"msg":"begun`); err != nil {
			t.Fatal(err)
		}
	}
	tear()
	j := New(open(), false)
	j.Now(suppressed(1))
	for len(j.batches) > 0 || j.waiting.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	tear()
	if err := j.Switch(open()); err != nil {
		t.Fatal(err)
	}
	j.Now(suppressed(1))
	j.Close(10 * time.Second)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if written, _ := count(t, string(text), Refusals, 2); written != 2 {
		t.Errorf("%d of 2 lines are whole:\n%s", written, text)
	}

	var out []byte
	l := lines{lost: 3, enc: newEncoder(false), to: writerFunc(func(p []byte) (int, error) {
		if len(out) == 0 { // the disk is full for one write, short of one byte
			out = append(out, p[:len(p)-1]...)
			return len(p) - 1, errFull
		}
		out = append(out, p...)
		return len(p), nil
	})}
	l.write(lineOf(suppressed(1)))
	l.write(lineOf(suppressed(1)))
	if written, dropped := count(t, string(out), Refusals, 0); uint64(written)+dropped != 5 {
		t.Errorf("%d written and %d dropped of 5:\n%s", written, dropped, out)
	}
}

// TestChunksAreWholeLines: each write(2) ends with a line, however long they are.
func TestChunksAreWholeLines(t *testing.T) {
	var sizes []int
	l := lines{to: writerFunc(func(p []byte) (int, error) {
		if p[len(p)-1] != '\n' {
			t.Errorf("a write of %d bytes ends within a line", len(p))
		}
		sizes = append(sizes, len(p))
		return len(p), nil
	}), enc: newEncoder(false)}
	long := strings.Repeat("y", maxChunk) + "\n"
	l.write([]byte(strings.Repeat(strings.Repeat("x", 999)+"\n", 100) + long + "z\n"))
	total := 0
	for _, n := range sizes {
		total += n
		if n > maxChunk && n != len(long) {
			t.Errorf("a write of %d bytes", n)
		}
	}
	if total != 100*1000+len(long)+2 {
		t.Errorf("%d bytes in %v", total, sizes)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRate(t *testing.T) {
	rate := Rate{Every: time.Second / 10, Burst: 50}
	var q Thinned
	said := 0
	for range 1000 {
		if q.Allow(rate, 0) {
			said++
		}
	}
	if said != rate.Burst || q.Left != 1000-uint64(rate.Burst) {
		t.Errorf("%d said and %d left out of a burst of 1000", said, q.Left)
	}
	if q.Allow(rate, int64(rate.Every)-1) {
		t.Error("said one more too early")
	}
	if !q.Allow(rate, int64(rate.Every)) {
		t.Error("said none after the interval")
	}
}

type brokenRecord struct{}

func (brokenRecord) encode(e *encoder) {
	e.buf.WriteString("a piece")
	panic("boom")
}

// TestPanicOfARecord: it costs that record; and what comes after the end of the
// log (a second signal, say) is lost and no panic.
func TestPanicOfARecord(t *testing.T) {
	var b bytes.Buffer
	j := New(&b, false)
	j.Put(brokenRecord{})
	j.Put(&Note{At: time.Now(), Msg: "after"})
	j.Close(10 * time.Second)
	j.Now(&Note{Msg: "late"})
	if text := b.String(); strings.Contains(text, "a piece") || !strings.Contains(text, `"msg":"bug"`) || !strings.Contains(text, "brokenRecord") || !strings.Contains(text, `"msg":"after"`) {
		t.Errorf("%s", text)
	}
}

// brokenWriter panics once.
type brokenWriter struct {
	bytes.Buffer
	broke chan bool
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	select {
	case w.broke <- true:
		panic("boom")
	default:
		return w.Buffer.Write(p)
	}
}

func TestPanicOfTheWriter(t *testing.T) {
	w := &brokenWriter{broke: make(chan bool, 1)}
	j := New(w, false)
	j.Now(&Note{Msg: "lost"})
	for len(w.broke) == 0 {
		time.Sleep(time.Millisecond)
	}
	j.Now(&Note{Msg: "after"})
	j.Close(10 * time.Second)
	if j.waiting.Load() != 0 {
		t.Errorf("%d are still waited for", j.waiting.Load())
	}
	if text := w.String(); !strings.Contains(text, `"log-dropped","format_version":1,"count":1}`) || !strings.Contains(text, `"msg":"bug"`) || !strings.Contains(text, `"msg":"after"`) {
		t.Errorf("%s", text)
	}
}

// TestOmits: a level leaves out what it says, and never what went wrong or is missing.
func TestOmits(t *testing.T) {
	allowed, denied := &Decision{}, &Decision{Refused: "acl"}
	always := []Record{&Suppressed{}, &Note{}, Lines("x\n")}
	var orderly []Record
	for _, reason := range []string{Exit, Killed, Timeout, Violation, Memory, Crash, Failed, Stalled, Reset} {
		if s := (&Session{Reason: reason}); reason == Exit || reason == Killed {
			orderly = append(orderly, s)
		} else {
			always = append(always, s)
		}
	}
	for _, tt := range []struct {
		level      string
		left, kept []Record
	}{
		{"all", nil, append([]Record{allowed, denied}, orderly...)},
		{OnlySessions, []Record{denied}, append([]Record{allowed}, orderly...)},
		{OnlyRefusals, append([]Record{allowed}, orderly...), []Record{denied}},
	} {
		for _, r := range tt.left {
			if !Omits(tt.level, r) {
				t.Errorf("%s keeps %+v", tt.level, r)
			}
		}
		for _, r := range append(tt.kept, always...) {
			if Omits(tt.level, r) {
				t.Errorf("%s leaves out %+v", tt.level, r)
			}
		}
	}
}

// lineOf is r as it stands in the log.
func lineOf(r Record) []byte {
	e := newEncoder(false)
	r.encode(e)
	return e.buf.Bytes()
}
