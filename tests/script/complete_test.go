package script

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/tests/need"
)

// shells are how each one is asked what the line "casemate --control SOCKET status " could go on
// with, where SOCKET is $S; they print one word a line.
var shells = map[string]string{
	// bash-completion, which the script of cobra builds upon, does this with colons and quotes.
	"bash": `
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
source <(casemate completion bash)
COMP_WORDS=(casemate --control "$S" status "") COMP_CWORD=4 COMP_TYPE=9 COMP_KEY=9
COMP_LINE="casemate --control $S status "; COMP_POINT=${#COMP_LINE}
__start_casemate
printf '%s\n' "${COMPREPLY[@]}"`,
	// compsys shows what it is given in an array, each with what it is behind a colon.
	"zsh": `
compdef() { }
_describe() { while [[ $1 == -* || $# -gt 2 ]] { shift }; print -rl -- ${(P)2} }
source <(casemate completion zsh)
words=(casemate --control "$S" status "") CURRENT=5
_casemate`,
	"fish": `
source (casemate completion fish | psub)
complete -C "casemate --control $S status "`,
}

// TestShells asks each shell for the services of a running casemated.
func TestShells(t *testing.T) {
	text, err := os.ReadFile("control.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, answer, ok := strings.Cut(string(text), "-- status.json --\n")
	if !ok {
		t.Fatal("control.txtar has no status.json")
	}
	answer, _, _ = strings.Cut(answer, "\n")
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := bufio.NewReader(conn).ReadBytes('\n'); err == nil {
				_, _ = conn.Write([]byte(answer + "\n"))
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	for shell, script := range shells {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.Command(need.Programs(t, shell)[0], "-c", script)
			home := t.TempDir()
			cmd.Dir = home
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "S=" + socket, "HOME=" + home, "TERM=dumb", "LC_ALL=C.UTF-8"}
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var words []string
			for line := range strings.Lines(string(out)) {
				word := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t:\n", r) })
				words = append(words, word[:min(1, len(word))]...)
			}
			if !slices.Equal(words, []string{"finger"}) {
				t.Errorf("it offers %q: %s", words, out)
			}
		})
	}
}
