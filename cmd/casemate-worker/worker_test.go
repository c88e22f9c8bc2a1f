package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/tests/logline"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T, kind int) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func conn(t *testing.T, f *os.File) *net.UnixConn {
	t.Helper()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	u := c.(*net.UnixConn)
	t.Cleanup(func() { u.Close() })
	if err := u.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return u
}

// reader is a log worker with its broker's side in the test's hands.
type reader struct {
	t       *testing.T
	broker  *net.UnixConn
	records chan map[string]any
	done    chan error
}

func newReader(t *testing.T) *reader {
	ours, theirs := pair(t, unix.SOCK_SEQPACKET)
	l := &reader{t, conn(t, ours), make(chan map[string]any, 1000), make(chan error, 1)}
	r, w := io.Pipe()
	go func() {
		s := bufio.NewScanner(r)
		for s.Scan() {
			var m map[string]any
			if json.Unmarshal(s.Bytes(), &m) == nil {
				l.records <- m
			}
		}
	}()
	worker := newLogWorker(conn(t, theirs), func(r journal.Record) { w.Write(logline.Of(r)) })
	worker.behind = func() bool { return false }
	go func() { l.done <- worker.run(context.Background()) }()
	return l
}

func (l *reader) order(o wire.Order, fd ...int) {
	l.t.Helper()
	var rights []byte
	if len(fd) > 0 {
		rights = unix.UnixRights(fd...)
	}
	if _, _, err := l.broker.WriteMsgUnix(o.Encode(), rights, nil); err != nil {
		l.t.Fatal(err)
	}
}

func (l *reader) hears(want wire.Report) {
	l.t.Helper()
	buf := make([]byte, 64)
	n, err := l.broker.Read(buf)
	got, derr := wire.DecodeReport(buf[:n])
	if err != nil || derr != nil || !reflect.DeepEqual(got, want) {
		l.t.Fatalf("heard %q, %v, want %+v", buf[:n], err, want)
	}
}

func (l *reader) record(id float64, text string) {
	l.t.Helper()
	select {
	case m := <-l.records:
		if m["msg"] != "stderr" || m["service"] != "finger" || m["id"] != id || m["text"] != text {
			l.t.Errorf("record %v, want %v %q", m, id, text)
		}
	case <-time.After(30 * time.Second):
		l.t.Fatalf("no record with %q, worker: %v", text, l.ended(time.Millisecond))
	}
}

// ended waits for the worker's end.
func (l *reader) ended(patience time.Duration) error {
	select {
	case err := <-l.done:
		return err
	case <-time.After(patience):
		return errors.New("it runs")
	}
}

// session makes a pipe as the broker does, and tells of it.
func (l *reader) session(id uint64) (end, reading *os.File) {
	l.t.Helper()
	reading, end, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { end.Close(); reading.Close() })
	l.reads(id, reading)
	return end, reading
}

func (l *reader) reads(id uint64, reading *os.File) {
	l.t.Helper()
	l.order(wire.Order{Kind: wire.Text, ID: id, Name: "finger"}, int(reading.Fd()))
}

// TestLogWorker: it takes lines as they end, tells when a pipe is over, and reads what
// there is before it ends.
func TestLogWorker(t *testing.T) {
	l := newReader(t)
	one, _ := l.session(42)
	silent, _ := l.session(41)
	one.WriteString("hello\x1b\nrest")
	l.order(wire.Order{Kind: wire.Ping})
	l.hears(wire.Report{Kind: wire.Pong})
	l.record(42, `hello\x1b`)
	one.Close()
	l.record(42, "rest")
	l.hears(wire.Report{Kind: wire.Done, ID: 42, Of: wire.Text})
	silent.Close()
	l.hears(wire.Report{Kind: wire.Done, ID: 41, Of: wire.Text})
	reading, prints, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.order(wire.Order{Kind: wire.Stdout, ID: 42, Name: "finger"}, int(reading.Fd()))
	reading.Close()
	prints.WriteString("printed\n")
	prints.Close()
	if m := <-l.records; m["msg"] != "stdout" || m["service"] != "finger" || m["id"] != 42.0 || m["text"] != "printed" {
		t.Errorf("record %v", m)
	}
	l.hears(wire.Report{Kind: wire.Done, ID: 42, Of: wire.Stdout})

	for i := range 3 {
		end, _ := l.session(uint64(43 + i))
		end.WriteString("last words") // of a session that lives on
	}
	l.order(wire.Order{Kind: wire.Last})
	for range 3 {
		select {
		case m := <-l.records:
			if id, _ := m["id"].(float64); id < 43 || id > 45 || m["text"] != "last words" {
				t.Errorf("%v", m)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no last words")
		}
	}
	if err := l.ended(30 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestLogWorkersInTurn: what one worker has not read is there for the next, and a
// program that writes meanwhile meets no broken pipe.
func TestLogWorkersInTurn(t *testing.T) {
	l := newReader(t)
	end, reading := l.session(7)
	for turn, text := range []string{"first", "second", "third"} {
		if turn > 0 {
			l = newReader(t)
			l.reads(7, reading)
		}
		end.WriteString(text + "\n")
		l.record(7, text)
		l.broker.Close()
		if err := <-l.done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogWorkerPacesAFlood: a session that writes without end does not keep a worker
// from the others, nor from its end.
func TestLogWorkerPacesAFlood(t *testing.T) {
	l := newReader(t)
	end, _ := l.session(1)
	go func() {
		for text := bytes.Repeat([]byte("x\n"), 1<<15); ; {
			if _, err := end.Write(text); err != nil {
				return
			}
		}
	}()
	for range lineRate.Burst {
		l.record(1, "x")
	}
	quiet, _ := l.session(2)
	quiet.WriteString("quiet\n")
	for late := time.After(30 * time.Second); ; {
		select {
		case m := <-l.records:
			if m["text"] != "quiet" {
				continue
			}
		case <-late:
			t.Fatal("the quiet one has no record")
		}
		break
	}
	l.order(wire.Order{Kind: wire.Last})
	if err := l.ended(30 * time.Second); err != nil {
		t.Error(err)
	}
}

func TestLogWorkerRefusesNonsense(t *testing.T) {
	ours, theirs := pair(t, unix.SOCK_SEQPACKET)
	broker := conn(t, ours)
	if _, err := broker.Write([]byte("what?")); err != nil {
		t.Fatal(err)
	}
	if err := newLogWorker(conn(t, theirs), func(journal.Record) {}).run(t.Context()); err == nil {
		t.Error("a malformed message was taken")
	}
}

// TestLogWorkerHandsOverOnce: each turn hands over once what was said in it, and what was due.
func TestLogWorkerHandsOverOnce(t *testing.T) {
	ours, theirs := pair(t, unix.SOCK_SEQPACKET)
	w := newLogWorker(conn(t, theirs), func(journal.Record) {})
	turns := make(chan struct{}, 20)
	w.flush = func() { turns <- struct{}{} }
	w.behind = func() bool { return false }
	done := make(chan error, 1)
	go func() { done <- w.run(t.Context()) }()
	<-turns // the first is the timer's
	broker := conn(t, ours)
	for _, o := range []wire.Order{{Kind: wire.Ping}, {Kind: wire.Last}} {
		if _, err := broker.Write(o.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil || len(turns) != 3 { // one of each of these, and the end's
		t.Errorf("%d more, %v", len(turns), err)
	}
}

func TestInherited(t *testing.T) {
	pid := os.Getpid()
	tests := []struct {
		name string
		env  map[string]string
		want int
	}{
		{"absent", nil, 0},
		{"none", map[string]string{"LISTEN_FDS": "0"}, 0},
		{"not a number", map[string]string{"LISTEN_FDS": "two"}, 0},
		{"too many", map[string]string{"LISTEN_FDS": "5000"}, 0},
		{"another process's", map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": strconv.Itoa(pid + 1)}, 0},
	}
	for _, tt := range tests {
		unset := 0
		files, err := inherited(
			func(k string) (string, bool) { v, ok := tt.env[k]; return v, ok },
			func(string) error { unset++; return nil }, pid)
		if len(files) != tt.want || (err == nil) != (tt.want > 0) || unset != 3 {
			t.Errorf("%s: %d files, %v, %d unset", tt.name, len(files), err, unset)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"unknown"}, {"log", "extra"}} {
		if err := run(t.Context(), args); err != errUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}
