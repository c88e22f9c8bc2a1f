package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// TestPanicIsNotAnAnswer: a panic ends with 1, for 2 could be read as a result.
func TestPanicIsNotAnAnswer(t *testing.T) {
	var out, errw bytes.Buffer
	if code := run([]string{"check", "-"}, nil, &out, &errw, unconfined); code != exitFail || !strings.Contains(errw.String(), "internal error") {
		t.Errorf("exit %d: %s", code, &errw)
	}
}

// unconfined is for runs inside the test's own process.
func unconfined(confine.Grant) error { return nil }

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestBrokenOutput: output that cannot be written is a failure of every verb.
func TestBrokenOutput(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"profiles"}, {"profiles", "--source"}, {"version", "-o", "json"}, {"profiles", "line"}} {
		var errw bytes.Buffer
		if code := run(args, nil, brokenPipe{}, &errw, unconfined); code != exitFail || !strings.Contains(errw.String(), "no space left") {
			t.Errorf("%v: exit %d: %s", args, code, &errw)
		}
	}
}

// TestTopicIsTrue compiles the page of the language: what it shows, works.
func TestTopicIsTrue(t *testing.T) {
	page := policyPage()
	var code []string
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "  ") {
			code = append(code, line)
		}
	}
	text := strings.Join(code, "\n")
	for _, name := range []string{"office", "public", "finger", "finger"} {
		text = strings.Replace(text, `"NAME"`, `"`+name+`"`, 1)
	}
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "page", Data: []byte(text)}, {Name: "inetd.conf", Data: []byte("telnet stream tcp nowait root /d d\n")}})
	if doc == nil || len(ds) > 0 {
		t.Errorf("the page does not compile: %+v\n%s", ds, text)
	}
}

// TestEveryVerbIsDocumented: Long with what it does, Example that names the verb.
func TestEveryVerbIsDocumented(t *testing.T) {
	for _, cmd := range (&app{out: os.Stdout, grants: map[*cobra.Command]func([]string) confine.Grant{}}).root(unconfined).Commands() {
		if len(long(cmd)) < 80 || cmd.Short == "" {
			t.Errorf("%s has no long help", cmd.Name())
		}
		if cmd.Runnable() && !regexp.MustCompile(`(?m)^  casemate (.*&& casemate )?`+cmd.Name()).MatchString(cmd.Example) {
			t.Errorf("%s has no example of itself", cmd.Name())
		}
	}
}
