package root

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestProcessAttributes: nice, oom_score, groups, umask, argv0, env and pass_env are what a
// program is started with, as the kernel shows them.
func TestProcessAttributes(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	own := fmt.Sprint(os.Getpid())
	t.Setenv("CASEMATE_TEST_PASSED", "with = and "+own)
	t.Setenv("CASEMATE_TEST_KEPT", "from outside")
	t.Setenv("CASEMATE_TEST_SECRET", "for casemated alone")
	b := rig.Serve(t, head+service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line",
		"nice = 11", "oom_score = 777", `groups = ["4", "60"]`, `umask = "0027"`, `argv0 = "kitten"`,
		`pass_env = ["CASEMATE_TEST_KEPT", "CASEMATE_TEST_PASSED", "CASEMATE_TEST_UNSET"]`, `env = { CASEMATE_TEST_KEPT = "from the policy" }`))
	echo(t, connect(t, port))
	pid := strconv.Itoa(session(t, b, "cat").PID)
	read := func(name string) string {
		text, err := os.ReadFile("/proc/" + pid + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(string(text), "\n")
	}
	_, stat, _ := strings.Cut(read("stat"), ") ")
	if nice := strings.Fields(stat)[16]; nice != "11" { // proc_pid_stat(5), the third field is the first here
		t.Errorf("nice is %s", nice)
	}
	if score := read("oom_score_adj"); score != "777" {
		t.Errorf("oom_score_adj is %s", score)
	}
	if line := read("cmdline"); line != "kitten\x00" {
		t.Errorf("it is called %q", line)
	}
	for _, want := range []string{"Groups:\t4 60", "Umask:\t0027"} {
		if !strings.Contains(read("status"), want) {
			t.Errorf("its status has no %q:\n%s", want, read("status"))
		}
	}
	env := strings.Split(read("environ"), "\x00")
	for _, want := range []string{"CASEMATE_TEST_PASSED=with = and " + own, "CASEMATE_TEST_KEPT=from the policy"} {
		if !slices.Contains(env, want) {
			t.Errorf("its environment has no %q: %q", want, env)
		}
	}
	for _, v := range env {
		if strings.HasPrefix(v, "CASEMATE_TEST_SECRET") || strings.HasPrefix(v, "CASEMATE_TEST_UNSET") || v == "CASEMATE_TEST_KEPT=from outside" {
			t.Errorf("its environment has %q", v)
		}
	}
}
