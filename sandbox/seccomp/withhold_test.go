package seccomp

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// withholdEnv makes the test binary try the withheld calls on several threads:
// "before" as it is, "after" once it has withheld them from itself.
const withholdEnv = "SECCOMP_TEST_WITHHOLD"

// tryWithheld makes each call with arguments that none can use, on threads older
// than the filter, on one that is younger, and in a program that was started.
func tryWithheld(after bool) {
	ask, told := make(chan bool), make(chan string)
	thread := func() {
		runtime.LockOSThread()
		if !<-ask {
			return
		}
		status, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			panic(err)
		}
		var b strings.Builder
		for line := range strings.Lines(string(status)) {
			if name, value, _ := strings.Cut(line, ":"); name == "Seccomp" || name == "NoNewPrivs" {
				fmt.Fprintf(&b, "%s=%s ", name, strings.TrimSpace(value))
			}
		}
		const none = ^uintptr(0)
		for _, name := range withheldNames() {
			_, _, errno := unix.RawSyscall6(uintptr(byName[name]), none, none, none, none, none, none)
			fmt.Fprintf(&b, "%s=%d ", name, int(errno))
		}
		_, _, errno := unix.RawSyscall(x32|unix.SYS_GETPID, 0, 0, 0)
		fmt.Fprintf(&b, "x32=%d\n", int(errno))
		told <- b.String()
	}
	for range 3 {
		go thread()
	}
	if after {
		if err := program.Withhold(); err != nil {
			panic(err)
		}
	}
	go thread()
	for range 4 {
		ask <- true
		fmt.Print(<-told)
	}
	out, err := exec.Command("cat", "/proc/self/status").Output()
	if err != nil {
		panic(err)
	}
	fmt.Printf("child=%t\n", strings.Contains(string(out), "Seccomp:\t2\n") && strings.Contains(string(out), "NoNewPrivs:\t1\n"))
}

// TestWithhold: no thread is left out, the calls fail in each, and a program that
// is started has the same. Without the filter the calls have other answers.
func TestWithhold(t *testing.T) {
	answers := map[string]map[string]string{}
	for _, when := range []string{"before", "after"} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), withholdEnv+"="+when)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", when, err, stderrOf(err))
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != 5 || lines[0] != lines[1] || lines[0] != lines[2] || lines[0] != lines[3] {
			t.Fatalf("%s: the threads differ:\n%s", when, out)
		}
		answers[when] = map[string]string{}
		for _, f := range append(strings.Fields(lines[0]), lines[4]) {
			name, value, _ := strings.Cut(f, "=")
			answers[when][name] = value
		}
	}
	eperm, differ := fmt.Sprint(int(syscall.EPERM)), 0
	for _, name := range withheldNames() {
		if got := answers["after"][name]; got != eperm {
			t.Errorf("%s answers errno %s", name, got)
		}
		if answers["before"][name] != eperm {
			differ++
		}
	}
	t.Logf("without the filter: %v", answers["before"])
	if differ < 5 {
		t.Errorf("only %d calls have another answer without the filter: what is seen here proves nothing", differ)
	}
	after := answers["after"]
	if after["Seccomp"] != "2" || after["NoNewPrivs"] != "1" || after["child"] != "true" || after["x32"] != fmt.Sprint(int(syscall.ENOSYS)) {
		t.Errorf("under the filter: %v", after)
	}
}

// TestWithholding: the program denies the list, numbers of x32 and every other
// architecture, and nothing else, whatever the arguments are.
func TestWithholding(t *testing.T) {
	text, err := binary.Append(nil, binary.NativeEndian, program.Withholding())
	if err != nil {
		t.Fatal(err)
	}
	vm := machine(t, text)
	if n := len(withheld()); n < 16 {
		t.Errorf("only %d calls are withheld", n)
	}
	for nr := range uint32(highest + 64) {
		want := uint32(retAllow)
		if slices.Contains(withheld(), int(nr)) {
			want = retErrno | errnoEPERM
		}
		for _, d := range []data{{nr: nr, arch: archHere}, {nr: nr, arch: archHere, args: [6]uint64{1, 2, 3, 4, 5, 6}}} {
			if got := run(t, vm, d); got != want {
				t.Errorf("%s (%d): %#x, want %#x", Name(int(nr)), nr, got, want)
			}
		}
		if got := run(t, vm, data{nr: nr | x32, arch: archHere}); got != retErrno|errnoENOSYS {
			t.Errorf("x32 %d: %#x", nr, got)
		}
		if got := run(t, vm, data{nr: nr, arch: 0x40000003}); got != retKillProcess {
			t.Errorf("i386 %d: %#x", nr, got)
		}
	}
	for _, name := range withheldNames() {
		if _, ok := Number(name); !ok {
			t.Errorf("withheld: unknown call %s", name)
		}
		for _, g := range Groups() {
			if Cover(GroupRules(g), Rule{Name: name}) {
				t.Errorf("%s has %s", g, name)
			}
		}
	}
}

// TestWithheldIsRefused: no way of writing a profile grants such a call; denying
// it is no mistake.
func TestWithheldIsRefused(t *testing.T) {
	for _, name := range withheldNames() {
		if _, err := Resolve([]string{name}, nil); err == nil || !strings.Contains(err.Error(), name+": no service can have it") {
			t.Errorf("allow %s: %v", name, err)
		}
		if _, err := Normalize([]Rule{{Name: name, Args: []Arg{{Index: 0, Value: 1}}}}); err == nil {
			t.Errorf("a rule for %s passes", name)
		}
		if _, err := Resolve([]string{"@strict"}, []string{name}); err != nil {
			t.Errorf("deny %s: %v", name, err)
		}
	}
}

// withheld are the calls of which no rule is taken.
func withheld() (calls []int) {
	for nr := range highest + 1 {
		if _, err := filter.Normalize([]filter.Rule{{Call: nr}}); err != nil && filter.Known(nr) {
			calls = append(calls, nr)
		}
	}
	return calls
}

func withheldNames() []string {
	var out []string
	for _, nr := range withheld() {
		out = append(out, Name(nr))
	}
	return out
}
