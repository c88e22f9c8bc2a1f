package root

import (
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestFacts: a program's environment holds the facts of the styles that its
// policy names, and nothing of the broker's own.
func TestFacts(t *testing.T) {
	rig.Root(t)
	t.Setenv("CASEMATE_TEST_SECRET", "the broker's own")
	styles := map[string]string{"": "PROTO REMOTE_ADDR TCPREMOTEIP", "[]": "", `["xinetd"]`: "REMOTE_HOST", `["ucspi"]`: "PROTO TCPREMOTEIP"}
	ports := map[string]string{}
	var s strings.Builder
	s.WriteString(head)
	for style := range styles {
		ports[style] = rig.Port(t)
		extra := []string{"profile = profile.line"}
		if style != "" {
			extra = append(extra, "env_style = "+style)
		}
		s.WriteString(service("p"+ports[style], "tcp://127.0.0.1:"+ports[style], []string{"/usr/bin/env"}, extra...))
	}
	rig.Serve(t, s.String())
	for style, want := range styles {
		out, err := rig.Exchange(ports[style], "")
		if err != nil || !strings.Contains(out, "PATH=") || strings.Contains(out, "SECRET") {
			t.Errorf("env_style %q: the environment is %q (%v)", style, out, err)
		}
		for _, name := range []string{"PROTO", "REMOTE_ADDR", "REMOTE_HOST", "TCPREMOTEIP"} {
			if has, should := strings.Contains("\n"+out, "\n"+name+"="), strings.Contains(" "+want+" ", " "+name+" "); has != should {
				t.Errorf("env_style %q: %s is there: %t, want %t", style, name, has, should)
			}
		}
	}
}
