// Package inject makes system calls in another process, on each of its threads:
// it shows from outside what the process may do, whatever its code would ever try.
// The process cannot go on afterwards, and is killed at the end of the test.
package inject

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a stopped process.
type Process struct {
	t       testing.TB
	threads []thread
	insn    uint64 // the address of a syscall instruction
}

type thread struct {
	id   int
	regs registers
}

// Stop stops every thread of pid once it has no_new_privs and all of them wait,
// and keeps the test on its thread: only that one may trace them.
func Stop(t testing.TB, pid int, noNewPrivs bool) *Process {
	t.Helper()
	await(t, pid, noNewPrivs)
	runtime.LockOSThread()
	p := &Process{t: t}
	t.Cleanup(func() {
		defer runtime.UnlockOSThread()
		_ = unix.Kill(pid, unix.SIGKILL)
		for _, th := range p.threads { // a traced thread is its tracer's to reap; the first one is its parent's
			// Not for ever: one that is gone while it is waited for may wake nobody.
			for end := time.Now().Add(10 * time.Second); th.id != pid && time.Now().Before(end); time.Sleep(time.Millisecond) {
				if got, err := unix.Wait4(th.id, nil, unix.WALL|unix.WNOHANG, nil); got != 0 || err != nil && !errors.Is(err, unix.EINTR) {
					break
				}
			}
		}
	})
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err == nil {
			err = unix.PtraceAttach(id)
		}
		if err != nil {
			t.Fatalf("attach to %s: %v", e.Name(), err)
		}
		th := thread{id: id}
		if err := errors.Join(stopped(id), getRegisters(id, &th.regs)); err != nil {
			t.Fatal(err)
		}
		code := make([]byte, len(instruction))
		for _, at := range waitsAt(&th.regs) {
			if _, err := unix.PtracePeekText(id, uintptr(at), code); err == nil && bytes.Equal(code, instruction) {
				p.insn = at
			}
		}
		p.threads = append(p.threads, th)
	}
	if p.insn == 0 {
		t.Fatal("no thread waits in a system call")
	}
	return p
}

// await waits until every thread of the process sleeps, twice in a row.
func await(t testing.TB, pid int, noNewPrivs bool) {
	t.Helper()
	asleep := 0
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(files) == 0 {
			t.Fatalf("process %d is gone", pid)
		}
		ready := true
		for _, f := range files {
			text, _ := os.ReadFile(f)
			ready = ready && strings.Contains(string(text), "State:\tS") && (!noNewPrivs || strings.Contains(string(text), "NoNewPrivs:\t1"))
		}
		if asleep++; !ready {
			asleep = 0
		}
		if asleep == 2 {
			return
		}
	}
	t.Fatalf("process %d does not come to rest", pid)
}

func stopped(id int) error {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(id, &ws, unix.WALL, nil)
		if err == nil && !ws.Stopped() {
			err = fmt.Errorf("thread %d ended", id)
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// call makes one call in a thread. An argument that is a []byte is copied into
// the process, a string with a final NUL.
func (p *Process) call(th thread, nr uint64, args ...any) (uint64, error) {
	regs := th.regs
	into, stack := arguments(&regs)
	room := (stack - 2048) &^ 15
	for i, a := range args {
		switch a := a.(type) {
		case int:
			*into[i] = uint64(a)
		case string:
			*into[i] = room
			room += p.poke(th.id, room, append([]byte(a), 0))
		case []byte:
			*into[i] = room
			room += p.poke(th.id, room, a)
		}
	}
	prepare(&regs, p.insn, nr)
	err := errors.Join(setRegisters(th.id, &regs), unix.PtraceSingleStep(th.id), stopped(th.id), getRegisters(th.id, &regs))
	if err != nil {
		p.t.Fatalf("call %d in thread %d: %v", nr, th.id, err)
	}
	answer := result(&regs)
	if answer > ^uint64(4095) {
		return 0, unix.Errno(-answer)
	}
	return answer, nil
}

func (p *Process) poke(id int, at uint64, data []byte) uint64 {
	if _, err := unix.PtracePokeData(id, uintptr(at), data); err != nil {
		p.t.Fatal(err)
	}
	return uint64(len(data)+15) &^ 15
}

// Open opens a path on every thread and fails the test unless all answer want.
func (p *Process) Open(path string, flags int, want error) {
	p.t.Helper()
	at := unix.AT_FDCWD
	for _, th := range p.threads {
		if _, err := p.call(th, unix.SYS_OPENAT, at, path, flags, 0o600); !errors.Is(err, want) {
			p.t.Errorf("thread %d opens %s (flags %#x): %v, want %v", th.id, path, flags, err, want)
		}
	}
}

// Connect connects a tcp socket to a port of 127.0.0.1 on every thread.
func (p *Process) Connect(port int, want error) {
	p.t.Helper()
	addr := loopback(port)
	for _, th := range p.threads {
		fd, err := p.call(th, unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
		if err == nil {
			_, err = p.call(th, unix.SYS_CONNECT, int(fd), addr, len(addr))
		}
		if !errors.Is(err, want) {
			p.t.Errorf("thread %d connects to port %d: %v, want %v", th.id, port, err, want)
		}
	}
}

// Aim takes a tcp socket that the process has away from its peer and connects it to a port
// of 127.0.0.1, on every thread.
func (p *Process) Aim(fd, port int, want error) {
	p.t.Helper()
	addr, none := loopback(port), make([]byte, unix.SizeofSockaddrInet4)
	for _, th := range p.threads {
		_, err := p.call(th, unix.SYS_CONNECT, fd, none, len(none))
		if err == nil {
			_, err = p.call(th, unix.SYS_CONNECT, fd, addr, len(addr))
		}
		if !errors.Is(err, want) {
			p.t.Errorf("thread %d aims descriptor %d at port %d: %v, want %v", th.id, fd, port, err, want)
		}
	}
}

// loopback is a port of 127.0.0.1 as connect(2) takes it.
func loopback(port int) []byte {
	addr := make([]byte, unix.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(addr, unix.AF_INET)
	binary.BigEndian.PutUint16(addr[2:], uint16(port))
	copy(addr[4:], []byte{127, 0, 0, 1})
	return addr
}
