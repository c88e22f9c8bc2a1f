package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestWithoutWritten: of lists that let memory be written and executed, by groups and by name, nothing does any more,
// and what cannot is as it was.
func TestWithoutWritten(t *testing.T) {
	const all = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	type try struct {
		name  string
		args  [6]uint64
		taken bool
	}
	tries := []try{{name: "memfd_create", taken: true}, {name: "memfd_create", args: [6]uint64{1: unix.MFD_ALLOW_SEALING}, taken: true}, {name: "read"},
		{name: "ptrace", args: [6]uint64{unix.PTRACE_TRACEME}, taken: true}, {name: "userfaultfd", taken: true},
		{name: "shmat", args: [6]uint64{2: unix.SHM_RDONLY}}, {name: "shmat", args: [6]uint64{2: shmExec | unix.SHM_RDONLY}, taken: true},
		{name: "personality", args: [6]uint64{personalityQuery}}, {name: "personality"}, {name: "personality", args: [6]uint64{0x0040000}}, // ADDR_NO_RANDOMIZE
		{name: "personality", args: [6]uint64{readImpliesExec}, taken: true}, {name: "personality", args: [6]uint64{readImpliesExec | 1<<33 | 8}, taken: true}}
	for prot := range uint64(all + 1) {
		for _, high := range []uint64{0, 1 << 32, 1 << 24} { // 1<<24 is PROT_GROWSDOWN
			tries = append(tries, try{"mmap", [6]uint64{2: prot | high}, prot&unix.PROT_WRITE != 0 && prot&unix.PROT_EXEC != 0},
				try{"mprotect", [6]uint64{2: prot | high}, prot&unix.PROT_EXEC != 0}, try{"pkey_mprotect", [6]uint64{2: prot | high}, prot&unix.PROT_EXEC != 0})
		}
	}
	for _, allow := range [][]string{{"@login", "@jit", "@memfd", "@sysv-ipc"}, {"@loader", "mmap", "mprotect", "pkey_mprotect", "shmat", "personality", "memfd_create", "ptrace", "userfaultfd"},
		{"@loader"}, {"@go", "@jit"}} {
		rules, err := Resolve(allow, nil)
		if err != nil {
			t.Fatal(err)
		}
		rest := WithoutWritten(rules)
		had, _ := Written(rules)
		if has, by := Written(rest); has || by != nil || had != (allow[len(allow)-1] != "@loader") {
			t.Errorf("%v: memory is written and executed before %v, after %v %v", allow, had, has, by)
		}
		before, after := compile(t, Filter{Rules: rules, OnViolation: Errno}), compile(t, Filter{Rules: rest, OnViolation: Errno})
		for _, c := range tries {
			nr, _ := Number(c.name)
			d := data{nr: uint32(nr), arch: archHere, args: c.args}
			had := run(t, before, d) == retAllow
			if got := run(t, after, d) == retAllow; got != (had && !c.taken) {
				t.Errorf("%v: %s%#x: %v before, %v after", allow, c.name, c.args, had, got)
			}
		}
		for _, r := range rest {
			if !Cover(rules, r) {
				t.Errorf("%v: %s was not there before", allow, r)
			}
		}
	}
}

// TestWithoutWrittenByArgument: rules that ask something of the same argument keep it.
func TestWithoutWrittenByArgument(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want []string
	}{
		{Rule{"mprotect", []Arg{{Index: 2, Value: 5}}}, nil},
		{Rule{"mprotect", []Arg{{Index: 2, Value: 3}}}, []string{"mprotect(2=0x3)"}},
		{Rule{"mmap", []Arg{{Index: 2, Value: 7}}}, nil},
		{Rule{"mmap", []Arg{{Index: 2, Mask: 2, Value: 2}, {Index: 3, Value: 0x22}}}, []string{"mmap(2&0x6=0x2,3=0x22)"}},
		{Rule{"personality", []Arg{{Index: 0, Value: personalityQuery}}}, []string{"personality(0=0xffffffff)"}},
		{Rule{"personality", []Arg{{Index: 0, Value: readImpliesExec}}}, nil},
	} {
		var got []string
		for _, r := range WithoutWritten([]Rule{c.rule}) {
			got = append(got, r.String())
		}
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}
