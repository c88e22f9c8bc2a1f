package root

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestWhy: the story of a session that was denied something, out of the log of the casemated that runs.
func TestWhy(t *testing.T) {
	bin := rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	port := rig.Port(t)
	b := rig.Serve(t, head+"profile \"own\" {\n  base = profile.server\n}\n"+service("victim", "tcp://127.0.0.1:"+port, []string{victim}, "profile = profile.own"))
	if got, err := rig.Exchange(port, "direct shm 3\n"); err != nil || got != "1\n" {
		t.Fatalf("errno %q, %v", got, err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "denied", "count", "2"); err != nil {
		t.Fatal(err)
	}
	ended, err := b.Await(1, 30*time.Second, "msg", "session", "service", "victim")
	if err != nil {
		t.Fatal(err)
	}
	id := ended[0].Str("id")
	for _, args := range [][]string{{id}, {"--last", "victim"}} {
		cmd := exec.Command(filepath.Join(bin, "casemate"), append([]string{"why", "--control", b.Control}, args...)...)
		text, err := cmd.CombinedOutput()
		for _, want := range []string{"session " + id + " of victim\n", "admitted rule ", "denied   shmget(4096 bytes): EPERM\n", "denied   shmget(4096 bytes): EPERM, 2 times\n",
			"granted by, in profile.own:\n      widens = [\"syscalls\"]\n      syscalls {\n        allow = [\"@sysv-ipc\"]\n      }\n", "ended    exit, status 0, after "} {
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("why %v: %v, without %q:\n%s", args, err, want, text)
			}
		}
	}
}

// TestWhyIsNotBehind: as soon as a client has seen its session's end, why --last has all of it: the end, the count of its denied
// calls, what it said, and the call that its filter killed it for.
func TestWhyIsNotBehind(t *testing.T) {
	bin := rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	errno, kills := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"profile \"kills\" {\n  base = profile.server\n  syscalls { on_violation = \"kill\" }\n}\n"+
		service("errno", "tcp://127.0.0.1:"+errno, []string{victim}, "profile = profile.server")+
		service("kills", "tcp://127.0.0.1:"+kills, []string{victim}, "profile = profile.kills"))
	type story struct {
		Records []struct {
			Msg, Text, Syscall string
			Count              int
			Port               int `json:"client_port"`
		}
	}
	for i := range 40 {
		service, port, line := "errno", errno, "say shm 3\n"
		if i%4 == 3 {
			service, port, line = "kills", kills, "say shm\n"
		}
		_, from, err := exchangeAs(port, line)
		if err != nil && service == "errno" {
			t.Fatal(err)
		}
		text, err := exec.Command(filepath.Join(bin, "casemate"), "why", "--control", b.Control, "--last", service, "-o", "json").CombinedOutput()
		var told story
		if err == nil {
			err = json.Unmarshal(text, &told)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		got, shm := map[string]int{}, 0
		for _, r := range told.Records {
			got[r.Msg]++
			if r.Syscall == "shmget" {
				shm += r.Count
			}
			if r.Msg == "decision" && strconv.Itoa(r.Port) != from {
				t.Errorf("round %d: it tells of the session of port %d, not %s", i, r.Port, from)
			}
		}
		want := map[string]int{"decision": 1, "session": 1, "stderr": 1, "denied": 2}
		if service == "kills" {
			want["denied"] = 1
		}
		if !maps.Equal(got, want) || shm != map[string]int{"errno": 3, "kills": 1}[service] {
			t.Errorf("round %d, %s: %v, %d calls denied: %s", i, service, got, shm, text)
		}
	}
}
