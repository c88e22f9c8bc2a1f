// Package script runs the command line's tests: each *.txtar is one script
// for the real casemate binary.
package script

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the directory of the casemate binary under test.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "casemate-script-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "tests/script:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "casemate"), "casemate/cmd/casemate")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "tests/script: build casemate: %v\n%s", err, out)
			return 1
		}
		bin = dir
		return m.Run()
	}())
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			// A policy must not be writable for a group; the test machine's umask is its own.
			return filepath.WalkDir(env.WorkDir, func(path string, _ os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Chmod(path, 0o755)
			})
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  status,
			"control": control,
			"repeat":  repeat,
		},
	})
}

// status runs casemate and checks its exit status: status 3 fmt --check x.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("casemate", args[1:]...)
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("casemate: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("casemate %s: exit status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// control plays casemated: it listens on a socket, writes the requests it gets to the
// file request and answers the first with the bytes of the files before the first "--",
// the second with those after it, and so on.
func control(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: control SOCKET ANSWER... [-- ANSWER...]...")
	}
	answers := []string{""}
	for _, name := range args[1:] {
		if name == "--" {
			answers = append(answers, "")
			continue
		}
		answers[len(answers)-1] += ts.ReadFile(name)
	}
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	request := ts.MkAbs("request")
	done := make(chan error, 1)
	go func() { done <- serve(l, request, answers) }()
	ts.Defer(func() {
		l.Close()
		<-done
	})
}

func serve(l net.Listener, request string, answers []string) error {
	var lines []byte
	for _, answer := range answers {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadBytes('\n')
		if err != nil {
			return err
		}
		lines = append(lines, line...)
		if err := os.WriteFile(request, lines, 0o600); err != nil {
			return err
		}
		if _, err = conn.Write([]byte(answer)); err != nil {
			return err
		}
		conn.Close()
	}
	return nil
}

// repeat writes a file of one text many times: repeat FILE N TEXT.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat FILE N TEXT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := strings.NewReplacer(`\n`, "\n", `\x00`, "\x00", `\xff`, "\xff").Replace(args[2])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(text, n)), 0o644))
}
