//go:build cgo

package zygote

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fails is set for a copy of the test's binary in which one system call fails from then on,
// or says that it succeeded and does nothing: "number option errno".
const fails = "CASEMATE_TEST_FAILS"

// spoil makes the call fail in this process and all that come of it. option is the call's first
// argument, or -1 for any; errno 0 is a success that is none.
func spoil(t *testing.T, call, option, errno uint32) {
	t.Helper()
	const ld, jeq, ret, nr, arg0 = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K, 0, 16
	filter := []unix.SockFilter{
		{Code: ld, K: nr}, {Code: jeq, K: call, Jf: 3},
		{Code: ld, K: arg0}, {Code: jeq, K: option, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | errno}, {Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if option == ^uint32(0) {
		filter[3] = unix.SockFilter{Code: jeq, K: option}
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); e != 0 {
		t.Fatal(e)
	}
}

// ran is what the program says that a spoilt launch must never execute.
const ran = "the program ran"

// launchSpoilt tries to start a program with its own user, groups and capabilities, and
// prints what came of it.
func launchSpoilt(t *testing.T, how string) {
	var call, option, errno uint32
	if _, err := fmt.Sscan(how, &call, &option, &errno); err != nil {
		t.Fatal(err)
	}
	spoil(t, call, option, errno)
	for _, dynamic := range []bool{false, true} {
		p := plain(t, "/bin/sh", "-c", "echo "+ran)
		p.Groups = []uint32{12345}
		if p.Dynamic = dynamic; dynamic {
			p.UID, p.GID = 0, 0
		}
		z, err := Spawn(p)
		if err != nil {
			fmt.Println("no zygote:", err)
			continue
		}
		out, r := start(t, z, Request{ID: 1, UID: 65534, GID: 65534})
		fmt.Printf("%q, step %q\n", out, r.Step)
		z.Close()
		reap(z.pid)
	}
}

// TestCVE2023_40303_FailedIdentity: several inetds and their programs went on as root where
// setuid, setgid or initgroups had failed. Here each step of a change of identity fails in
// turn, or says that it worked and did nothing: no program is executed, for a fixed user or a
// leased one. (A capset that did nothing is made up for by the change of user.)
func TestCVE2023_40303_FailedIdentity(t *testing.T) {
	if how := os.Getenv(fails); how != "" {
		launchSpoilt(t, how)
		return
	}
	needRoot(t)
	const any, lies = ^uint32(0), 0
	for _, c := range []struct {
		name                string
		call, option, errno uint32
		want                string // of both launches
	}{
		{"nothing fails", unix.SYS_SETRESUID, 12345, lies, ran},
		{"setgroups", unix.SYS_SETGROUPS, any, uint32(unix.EPERM), "set groups"},
		{"setresgid", unix.SYS_SETRESGID, any, uint32(unix.EPERM), "set gid"},
		{"setresuid", unix.SYS_SETRESUID, any, uint32(unix.EAGAIN), "set uid"}, // as by RLIMIT_NPROC before 3.1
		{"setresuid lies", unix.SYS_SETRESUID, any, lies, "verify privileges"},
		{"capset", unix.SYS_CAPSET, any, uint32(unix.EPERM), "set capabilities"},
		{"bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uint32(unix.EPERM), "verify privileges"},
		{"bounding set lies", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, lies, "verify privileges"},
		{"securebits", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, uint32(unix.EPERM), "set securebits"},
		{"securebits lie", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, lies, "verify privileges"},
		{"no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, uint32(unix.EINVAL), "set no_new_privs"},
		{"no_new_privs lies", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, lies, "verify privileges"},
		{"parent-death signal", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint32(unix.EPERM), "set parent-death signal"},
		{"parent-death signal lies", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, lies, "verify privileges"},
		{"setsid", unix.SYS_SETSID, any, uint32(unix.EPERM), "setsid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestCVE2023_40303_FailedIdentity$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", fails, c.call, c.option, c.errno))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("the launches: %v", err)
			}
			if strings.Count(string(out), c.want) != 2 || c.want != ran && strings.Contains(string(out), ran) {
				t.Errorf("want two launches that say %q:\n%s", c.want, out)
			}
		})
	}
}
