package main

import (
	"bufio"
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy/control"
)

// TestAnswerBreaksOff: a broker that ends while it is asked is told of as that, and its answer is nothing.
func TestAnswerBreaksOff(t *testing.T) {
	for _, half := range []string{"", `{"format_version":1,"ok":tr`} {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "control"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = c.Write([]byte(half))
				c.Close()
			}
		}()
		a := &app{control: l.Addr().String()}
		if resp, err := a.ask(control.Request{}); resp != nil || err == nil || !strings.Contains(err.Error(), "its broker ended before it had answered") {
			t.Errorf("after %q: %v, %v", half, resp, err)
		}
	}
}

// FuzzAnswer: whatever is on the other end of the control socket, a verb that asks it ends with 0, 1 or 3, and writes nothing that
// moves a terminal.
func FuzzAnswer(f *testing.F) {
	f.Add("{\"format_version\":1,\"ok\":true,\"digest\":\"sha256:a\",\"status\":{\"version\":\"1\",\"pid\":42,\"generation\":3,\"services\":[{\"name\":\"finger\",\"listen\":[{\"address\":\"tcp4/0.0.0.0:79\",\"state\":\"listening\"}]}]}}\n")
	f.Add("{\"format_version\":1,\"ok\":false,\"error\":\"the policy is not valid\",\"diagnostics\":[{\"severity\":\"error\",\"code\":\"CM301\",\"summary\":\"a\\u001b[31m\",\"file\":\"x\",\"line\":3}]}\n")
	f.Add("{\"format_version\":1,\"ok\":true,\"runs\":[{\"run\":1,\"digest\":\"sha256:a\",\"how\":\"start\",\"at\":\"2026-01-01T00:00:00Z\"}]}\n")
	f.Add("{\"format_version\":1,\"ok\":true,\"unmet\":\"if_digest\",\"replaced\":\"\",\"unkept\":\"x\"}\n{}")
	f.Add("{\"format_version\":1,\"ok\":true,\"live\":{}}\n{\"format_version\":1,\"digest\":\"sha256:a\",\"policy\":{}}\n")
	f.Add("\x1b]0;x\a{")
	f.Fuzz(func(t *testing.T, answer string) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "c"))
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = c.Write([]byte(answer))
				c.Close()
			}
		}()
		for _, args := range [][]string{{"status"}, {"status", "--sessions", "-o", "json"}, {"history"}, {"reload", "--if-digest", "sha256:" + strings.Repeat("a", 64)}, {"rollback", "1"},
			{"show"}, {"explain", "finger", "192.0.2.1"}, {"diff", "running", "running"}} {
			var out, errw bytes.Buffer
			code := run(append(args, "--control", l.Addr().String()), strings.NewReader(""), &out, &errw, unconfined)
			said := out.String() + errw.String()
			if code != exitYes && code != exitFail && code != exitNo || strings.Contains(errw.String(), "internal error, please report it") {
				t.Errorf("casemate %s: exit status %d\n%q", args, code, said)
			}
			if strings.ContainsAny(said, "\x1b\a\r") {
				t.Errorf("casemate %s moves a terminal: %q", args, said)
			}
		}
		l.Close()
		<-served
	})
}
