package main

import (
	"bufio"
	"casemate/policy/control"
	"net"
	"path/filepath"
	"strings"
	"testing"
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
