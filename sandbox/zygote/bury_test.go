//go:build cgo

package zygote

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// traces is set for a copy of the test's binary that traces that process, until its
// input ends: meanwhile a parent cannot reap it.
const traces = "CASEMATE_TEST_TRACES"

func TestMain(m *testing.M) {
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
