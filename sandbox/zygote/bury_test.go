//go:build cgo

package zygote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// traces is set for a copy of the test's binary that traces that process, until its
// input ends: meanwhile a parent cannot reap it.
const traces = "CASEMATE_TEST_TRACES"

// maps is set for one that makes user namespaces until it is killed.
const maps = "CASEMATE_TEST_MAPS"

func TestMain(m *testing.M) {
	for os.Getenv(maps) != "" {
		runtime.LockOSThread()
		one := unix.CPUSet{1} // so that the parent is often killed before its child has run
		_ = unix.SchedSetaffinity(0, &one)
		if fd, err := Mapped(7, 8, 8); err != nil {
			panic(err)
		} else {
			unix.Close(fd)
		}
	}
	if text := os.Getenv(traces); text != "" {
		runtime.LockOSThread()
		pid, err := strconv.Atoi(text)
		if err == nil {
			err = unix.PtraceSeize(pid)
		}
		fmt.Println(err)
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestBuryDoesNotWait: a process that was killed and does not end keeps nobody waiting, and
// is reaped when it does.
func TestBuryDoesNotWait(t *testing.T) {
	needRoot(t) // to trace a process that is not one's child
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	tracer := exec.Command("/proc/self/exe")
	tracer.Env = append(os.Environ(), fmt.Sprintf("%s=%d", traces, p.Pid))
	in, err := tracer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := tracer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("trace: %q, %v", line, err)
	}
	done := make(chan error, 1)
	go func() { done <- bury(p.Pid, 50*time.Millisecond) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("it is reaped although it is traced: this test shows nothing")
		}
	case <-time.After(10 * time.Second):
		t.Error("bury waits for a process that does not end")
	}
	in.Close()
	if err := tracer.Wait(); err != nil {
		t.Error(err)
	}
	for late := time.Now().Add(10 * time.Second); !errors.Is(unix.Kill(p.Pid, 0), unix.ESRCH); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("it is not reaped when it has ended")
		}
	}
	if q, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{}); err != nil {
		t.Error(err)
	} else if err := bury(q.Pid, 10*time.Second); err != nil {
		t.Error(err)
	}
}

// TestMappedEndsWithBroker: what makes a user namespace shares the broker's descriptors, listeners among them. Where the
// broker is killed in the very moment it ends too, and holds none of them for ever.
func TestMappedEndsWithBroker(t *testing.T) {
	needRoot(t)
	for i := range 150 {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		broker := exec.Command("/proc/self/exe")
		broker.Env, broker.ExtraFiles, broker.Stderr = append(os.Environ(), maps+"=1"), []*os.File{out}, os.Stderr
		broker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := broker.Start(); err != nil {
			t.Fatal(err)
		}
		out.Close()
		time.Sleep(40*time.Millisecond + time.Duration(i)*37*time.Microsecond)
		err = errors.Join(broker.Process.Kill(), in.SetReadDeadline(time.Now().Add(10*time.Second)))
		_ = broker.Wait() // says that it was killed
		if _, end := in.Read(make([]byte, 1)); err != nil || end != io.EOF {
			t.Errorf("after %d brokers: something of the last one still holds its descriptors: %v, %v", i, end, err)
			_ = unix.Kill(-broker.Process.Pid, unix.SIGKILL)
			break
		}
		in.Close()
	}
}
