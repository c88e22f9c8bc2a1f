package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"

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
	if err := u.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return u
}

// The whole of the log worker: a broker that introduces a service and answers
// whose process it is, and a service that sends a descriptor along with its text.
func TestLogWorker(t *testing.T) {
	ours, theirs := pair(t, unix.SOCK_SEQPACKET)
	broker, records := conn(t, ours), make(chan map[string]any, 16)
	r, w := io.Pipe()
	go func() {
		s := bufio.NewScanner(r)
		for s.Scan() {
			var m map[string]any
			if json.Unmarshal(s.Bytes(), &m) == nil {
				records <- m
			}
		}
	}()
	done := make(chan error, 1)
	go func() {
		c, err := net.FileConn(theirs)
		if err != nil {
			done <- err
			return
		}
		theirs.Close()
		done <- newLogWorker(c.(*net.UnixConn), func(r journal.Record) { w.Write(journal.Encode(r)) }).run(context.Background())
	}()

	program, reader := pair(t, unix.SOCK_SEQPACKET)
	if err := unix.SetsockoptInt(int(reader.Fd()), unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		t.Fatal(err)
	}
	attach := wire.Order{Kind: wire.Attach, Slot: 3, Name: "finger"}.Encode()
	if _, _, err := broker.WriteMsgUnix(attach, unix.UnixRights(int(reader.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Send(int(program.Fd()), nil, 0); err != nil { // a write of nothing is not the end
		t.Fatal(err)
	}
	if err := unix.Sendmsg(int(program.Fd()), []byte("hello\x1b\nrest"), unix.UnixRights(0, 1, 2), nil, 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := broker.Read(buf)
	if q, derr := wire.DecodeReport(buf[:n]); err != nil || derr != nil || q.Kind != wire.Whose || q.PID != uint32(os.Getpid()) || q.UID != uint32(os.Getuid()) {
		t.Fatalf("question %q, %v", buf[:n], err)
	}
	answer := wire.Order{Kind: wire.Belongs, PID: uint32(os.Getpid()), ID: 42}.Encode()
	if _, err := broker.Write(answer); err != nil {
		t.Fatal(err)
	}
	wantRecord(t, records, `hello\x1b`)
	if _, err := broker.Write(wire.Order{Kind: wire.Detach, Slot: 3}.Encode()); err != nil {
		t.Fatal(err)
	}
	wantRecord(t, records, "rest")
	broker.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the worker outlives its broker")
	}
}

func wantRecord(t *testing.T, records chan map[string]any, text string) {
	t.Helper()
	select {
	case m := <-records:
		if m["msg"] != "stderr" || m["service"] != "finger" || m["id"] != 42.0 || m["text"] != text || m["pid"] != float64(os.Getpid()) {
			t.Errorf("record %v, want text %q", m, text)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no record with %q", text)
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
