package root

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// learnSays runs casemate learn, with n connections of visit once it waits for them, and gives
// its exit status and all that it printed.
func learnSays(t *testing.T, n int, visit func(), args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append([]string{"learn"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	buf := make([]byte, 4096)
	for visited := n == 0; ; {
		k, err := pipe.Read(buf)
		text.Write(buf[:k])
		if err != nil {
			break
		}
		if !visited && strings.Contains(text.String(), "waiting for connections") {
			visited = true
			for range n {
				visit()
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String() + text.String()
}

// TestLearnFailedSessions: from sessions that were refused what they needed and exited with an
// error no profile is learnt, and nothing is named as unused; what they were refused is said.
func TestLearnFailedSessions(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	dir, port := rig.PublicDir(t), rig.Port(t)
	script, spool := filepath.Join(dir, "keep"), filepath.Join(dir, "spool")
	write(t, filepath.Join(spool, "old"), "", 0o644)
	must(t, "chmod", "777", spool)
	write(t, script, "#!/bin/sh\nread -r line\necho kept >"+spool+"/kept || exit 4\necho thanks\n", 0o755)
	b := rig.Serve(t, head+service("keep", "tcp://127.0.0.1:"+port, []string{script}, "profile = profile.classic"))
	visit := func() { _, _ = run(t, nil, "sh", "-c", "echo x | nc -N -w 5 127.0.0.1 "+port) }
	for _, more := range [][]string{{"--connections", "1"}, {"--connections", "1", "--tighten"}} {
		code, said := learnSays(t, 2, visit, append([]string{"keep", "--control", b.Control}, more...)...)
		if code != 3 || strings.Contains(said, "\nprofile \"") || strings.Contains(said, "never used") {
			t.Errorf("%v exits with %d: %s", more, code, said)
		}
		for _, want := range []string{"2 of 2 sessions failed", spool + "/kept", "EROFS", `files { write = ["` + spool + `"] }`} {
			if !strings.Contains(said, want) {
				t.Errorf("%v does not say %q: %s", more, want, said)
			}
		}
	}
}

// TestLearnFromTheRest: where one session of several failed, the profile is learnt from the others, and says which
// it was not learnt from.
func TestLearnFromTheRest(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	dir, port := rig.PublicDir(t), rig.Port(t)
	script, notes := filepath.Join(dir, "keep"), filepath.Join(dir, "notes")
	write(t, notes, "remember\n", 0o644)
	write(t, script, "#!/bin/sh\nread -r line\n[ $line = x ] || exit 4\nread -r note <"+notes+"\necho $note\n", 0o755)
	b := rig.Serve(t, head+"\nprofile \"keep\" {\n  base = profile.shell\n  files { read = [\""+dir+"\"] }\n}\n"+service("keep", "tcp://127.0.0.1:"+port, []string{script}, "profile = profile.keep"))
	for _, more := range [][]string{{"--connections", "2"}, {"--connections", "2", "--tighten"}} {
		i := 0
		visit := func() {
			i++
			line := "x"
			if i == 2 {
				line = "bad"
			}
			_, _ = run(t, nil, "sh", "-c", "echo "+line+" | nc -N -w 5 127.0.0.1 "+port)
		}
		code, said := learnSays(t, 4, visit, append([]string{"keep", "--control", b.Control}, more...)...)
		for _, want := range []string{"\nprofile \"keep\"", "# Left out: 1 session of 4 that failed:\n#   a session of /usr/bin/", "exited with status 4", "1 of 4 sessions failed"} {
			if code != 0 || !strings.Contains(said, want) {
				t.Errorf("%v exits with %d and does not say %q: %s", more, code, want, said)
			}
		}
	}
}

// TestLearnFailedProgram: a client that is content with a program that exits with an error proves
// nothing, unless that exit status is said to be normal.
func TestLearnFailedProgram(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	script := filepath.Join(rig.PublicDir(t), "sorry")
	write(t, script, "#!/bin/sh\nread -r line\necho sorry\nexit 5\n", 0o755)
	args := []string{"--command", script, "--client", "echo x | nc -N -w 5 $HOST $PORT"}
	code, said := learnSays(t, 0, nil, args...)
	if code != 3 || !strings.Contains(said, "every client exits with 0, and yet the program exits with status 5") || strings.Contains(said, "\nprofile \"") {
		t.Errorf("it exits with %d: %s", code, said)
	}
	code, said = learnSays(t, 0, nil, append(args, "--status", "5")...)
	if code != 0 || !strings.Contains(said, "\nprofile \"sorry\"") || !strings.Contains(said, "An exit status of 5 was taken for normal") {
		t.Errorf("with --status it exits with %d: %s", code, said)
	}
}

// TestLearnFailedSocket: of a program that serves a unix socket of its own is said that no profile
// grants it, and what to do; the host's network is not taken for it.
func TestLearnFailedSocket(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	perl := need.Programs(t, "perl")[0]
	dir := rig.PublicDir(t)
	must(t, "chmod", "777", dir)
	script := filepath.Join(dir, "ctl.pl")
	write(t, script, fmt.Sprintf("use Socket;\nsocket(S, AF_UNIX, SOCK_STREAM, 0) or die \"socket: $!\";\nbind(S, pack_sockaddr_un(\"%s/ctl.$$.\" . time)) or die \"bind: $!\";\n$l = <STDIN>;\n$| = 1;\nprint \"served\\n\";\n", dir), 0o644)
	code, said := learnSays(t, 0, nil, "--command", perl+" "+script, "--user", "nobody", "--client", "echo x | nc -N -w 5 $HOST $PORT | grep -q served")
	if code != 3 || strings.Contains(said, "\nprofile \"") || strings.Contains(said, "CM506") || strings.Contains(said, "takes the draft for no profile") {
		t.Errorf("it exits with %d: %s", code, said)
	}
	for _, want := range []string{"the program calls bind(\"" + dir + "/ctl.", "casemate grants no unix server socket without the host's network", "have casemate listen there"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
}
