package main

import (
	"bytes"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/learn"
)

// TestEndsIn: of a log the sessions are read and nothing else, and of these an exit status that is
// not normal, a crash and a start that failed are errors.
func TestEndsIn(t *testing.T) {
	log := `{"msg":"decision","id":1,"verdict":"allow"}
{"msg":"session","id":1,"exit":0,"reason":"exit"}
{"msg":"session","id":2,"exit":3,"reason":"exit"}
{"msg":"stderr","id":2,"text":"\"msg\":\"session\""}
{"msg":"session","id":3,"signal":"SIGSEGV","reason":"crash"}
{"msg":"session","id":4,"signal":"SIGPIPE","reason":"crash"}
{"msg":"session","id":5,"signal":"SIGSYS","reason":"violation"}
{"msg":"session","id":6,"signal":"SIGKILL","reason":"killed"}
{"msg":"session","id":7,"signal":"SIGKILL","reason":"hangup"}
{"msg":"session","id":8,"reason":"start-failed","detail":"execve: EACCES"}
{"msg":"session","id":9,"exit":0,`
	for _, tt := range []struct {
		normal []int
		want   []string
	}{
		{nil, []string{"", "the program exits with status 3", "the program dies of SIGSEGV (crash)", "", "the program dies of SIGSYS (violation)", "", "", "the program cannot be started: execve: EACCES"}},
		{[]int{1, 3}, []string{"", "", "the program dies of SIGSEGV (crash)", "", "the program dies of SIGSYS (violation)", "", "", "the program cannot be started: execve: EACCES"}},
	} {
		var got []string
		for _, e := range endsIn([]byte(log)) {
			got = append(got, e.fails(tt.normal))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("with %v normal: %q, want %q", tt.normal, got, tt.want)
		}
	}
}

// TestDiffersByTheProgram: a client that is served under a program that fails is not enough, and
// what the client meets is told first.
func TestDiffersByTheProgram(t *testing.T) {
	want := &outcome{Clients: make([]clientOutcome, 1)}
	o := &outcome{Clients: make([]clientOutcome, 1), faulty: "the program exits with status 1"}
	if got := o.differs(want, []bool{true}); got != o.faulty || o.failing() != got || !o.served() {
		t.Errorf("got %q and %q, served %t", got, o.failing(), o.served())
	}
	o.Clients[0].Status = 2
	if got := o.failing(); got != "client 1 exits with status 2" || o.served() {
		t.Errorf("got %q, served %t", got, o.served())
	}
}

// TestFailedIsSaid: what is said of sessions that failed has how many, how, what they were refused
// and the flag for those that always end so.
func TestFailedIsSaid(t *testing.T) {
	c := &learn.Confines{Profile: &sandbox.Profile{}, Exists: func(string) bool { return true }}
	f := learn.Fact{Call: "unlink", Path: "/srv/x", Err: syscall.EROFS, PID: 1, First: 3, Last: 3, Count: 1}
	bad := func() *learn.Session {
		return &learn.Session{PID: 1, Facts: []learn.Fact{f}, Ends: []learn.End{{PID: 1, Program: "/opt/app", Calls: 9, Status: 4}},
			Complaints: []learn.Complaint{{PID: 1, Call: 5, Text: "Traceback:\nRead-only file system\n"}}}
	}
	good := &learn.Session{PID: 2, Ends: []learn.End{{PID: 2, Calls: 9}}}
	var said bytes.Buffer
	a := &app{err: &said}
	list, leftOut := a.setAside([]*learn.Session{bad(), bad(), good}, c, nil)
	if !slices.Equal(list, []*learn.Session{good}) {
		t.Errorf("it is learnt from %+v", list)
	}
	for _, want := range []string{`a session of /opt/app exited with status 4: it wrote "Read-only file system" (2 times)`, `unlink("/srv/x") EROFS: widens = ["files"] files { write = ["/srv"] }`, "2 of 3 sessions failed", "--status 4"} {
		if strings.Count(said.String(), want) != 1 {
			t.Errorf("%q is not said once in:\n%s", want, said.String())
		}
	}
	if text := strings.Join(leftOut, "\n"); !strings.Contains(text, "Left out: 2 sessions of 3 that failed:\n  a session of /opt/app exited with status 4") {
		t.Errorf("the profile says %q", text)
	}
	said.Reset()
	if list, leftOut := a.setAside([]*learn.Session{bad(), good}, c, []int{4}); len(list) != 2 || len(leftOut) > 0 || said.Len() > 0 {
		t.Errorf("with 4 for normal: %s %q", said.String(), leftOut)
	}
}

// TestSetAsideHangUps: a program that exits with an error since its client has hung up has not failed, and
// one that was killed is learnt from up to there, which is said. A reset long before is no reason.
func TestSetAsideHangUps(t *testing.T) {
	c := &learn.Confines{Profile: &sandbox.Profile{}, Exists: func(string) bool { return true }}
	ended := func(pid int, e learn.End, facts ...learn.Fact) *learn.Session {
		e.PID = pid
		for i := range facts {
			facts[i].PID = pid
		}
		return &learn.Session{PID: pid, Ends: []learn.End{e}, Facts: facts}
	}
	reset := ended(1, learn.End{Calls: 100, Status: 1}, learn.Fact{Call: "read", Err: syscall.ECONNRESET, First: 98, Last: 98})
	before := ended(2, learn.End{Calls: 1000, Status: 1}, learn.Fact{Call: "read", Err: syscall.ECONNRESET, First: 98, Last: 98})
	killed := ended(3, learn.End{Calls: 10, Signal: syscall.SIGKILL})
	slow := ended(4, learn.End{Calls: 10, Signal: syscall.SIGXCPU})
	crashed := ended(5, learn.End{Calls: 10, Signal: syscall.SIGSEGV}, learn.Fact{Call: "write", Err: syscall.EPIPE, First: 9, Last: 9})
	var said bytes.Buffer
	a := &app{err: &said}
	list, leftOut := a.setAside([]*learn.Session{reset, before, killed, slow, crashed}, c, nil)
	if !slices.Equal(list, []*learn.Session{reset, killed, slow}) {
		t.Errorf("it is learnt from %d: %s", len(list), said.String())
	}
	for _, want := range []string{"Left out: 2 sessions of 5", "1 session was ended by SIGKILL", "1 session was ended by SIGXCPU"} {
		if !strings.Contains(strings.Join(leftOut, "\n"), want) {
			t.Errorf("%q is not in %q", want, leftOut)
		}
	}
}
