package seccomp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// attempt is one call for the kernel.
type attempt struct {
	NR   uint64
	Args [6]uint64
}

// probeKernel installs the program on one thread, makes the calls that come on
// standard input from it, and writes their errnos to standard output.
func probeKernel(program string) error {
	prog, err := hex.DecodeString(program)
	if err != nil {
		return err
	}
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	probes := make([]attempt, len(in)/binary.Size(attempt{}))
	if err := binary.Read(bytes.NewReader(in), binary.NativeEndian, probes); err != nil {
		return err
	}
	answers := make([]uint32, len(probes))
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := install(prog)
		for i, p := range probes {
			if err == nil {
				_, _, errno := unix.RawSyscall6(uintptr(p.NR), uintptr(p.Args[0]), uintptr(p.Args[1]), uintptr(p.Args[2]),
					uintptr(p.Args[3]), uintptr(p.Args[4]), uintptr(p.Args[5]))
				answers[i] = uint32(errno)
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return err
	}
	return binary.Write(os.Stdout, binary.NativeEndian, answers)
}

// TestKernelAgrees makes every call that the reference denies, with the arguments
// of inputs, under the real filter, and compares the kernel's answers. Nothing
// that is allowed is called, so nothing happens.
func TestKernelAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, g := range append([]string{"@socket-server", "@file-write"}, ladder...) {
		rules, err := Resolve([]string{g, "@go"}, nil) // the test binary is a Go program
		if err != nil {
			t.Fatal(err)
		}
		f := Filter{Rules: append(rules, Rule{Name: "cachestat", Args: []Arg{{Index: 0, Value: 77}}}), OnViolation: Errno}
		prog, err := f.Compile()
		if err != nil {
			t.Fatal(err)
		}
		var probes []attempt
		var want []uint32
		for _, d := range inputs(f, rng) {
			if n := Name(int(d.nr)); n == "uretprobe" || n == "uprobe" {
				continue // the kernel shows these to no filter, and sends SIGILL to who calls them
			}
			if r := reference(f, d); d.arch == archHere && r != retAllow {
				probes = append(probes, attempt{uint64(d.nr), d.args})
				if r == retNamed { // nobody has the listener
					r = errnoENOSYS
				}
				want = append(want, r&0xffff)
			}
		}
		var in bytes.Buffer
		if err := binary.Write(&in, binary.NativeEndian, probes); err != nil {
			t.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), confineEnv+"="+hex.EncodeToString(prog))
		cmd.Stdin = &in
		out, err := cmd.Output()
		if err != nil || len(out) != 4*len(want) {
			t.Fatalf("%s: %d bytes, %v\n%s", g, len(out), err, stderrOf(err))
		}
		for i, w := range want {
			if got := binary.NativeEndian.Uint32(out[4*i:]); got != w {
				t.Errorf("%s: %s (%d) %#x: errno %d, want %d", g, Name(int(probes[i].NR)), probes[i].NR, probes[i].Args, got, w)
			}
		}
		t.Logf("%s: %d denied calls", g, len(want))
	}
}
