package lang

import (
	"strings"
	"testing"
	"time"
)

// TestSlowClients: limits of slow clients stand where somebody sees how slow one is, and nowhere else.
func TestSlowClients(t *testing.T) {
	const program = "command = [\"/bin/cat\"]\n  user = \"nobody\"\n  "
	for _, tt := range []struct{ limit, service, want string }{
		{`first_byte = "10s"` + "\n" + `min_rate = "1KiB/s"`, `listen = ["tcp://:79"]` + "\n" + program, ""},
		{`min_rate = "100B/s"`, `listen = ["tcp://:79", "unix:/run/x.sock"]` + "\n" + program, ""},
		{`min_rate = "100B/s"`, `listen = ["tcp://:7", "udp://:7"]` + "\nbuiltin = \"echo\"\n", ""},
		{`min_rate = "100B/s"`, `listen = ["tcp://:79"]` + "\nredirect = \"192.0.2.1:79\"\n", ""},
		{`min_rate = "100B/s"`, `listen = ["unix:/run/x.sock"]` + "\n" + program, "of tcp alone"},
		{`min_rate = "100B/s"`, `listen = ["udp://:7"]` + "\nbuiltin = \"echo\"\n", "of tcp alone"},
		{`min_rate = "100B/s"`, `listen = ["udp://:79"]` + "\n" + program, "of tcp alone"},
		{`min_rate = "100B/s"`, `listen = ["tcp://:79"]` + "\nkeep_socket = false\n" + program, "keep_socket = false"},
		{`first_byte = "10s"`, `listen = ["tcp://:79"]` + "\nwait = true\n" + program, "takes its clients itself"},
		{`session = "1h"`, `listen = ["tcp://:7", "udp://:7"]` + "\nbuiltin = \"echo\"\nidle = \"5m\"\n", ""},
		{`session = "1h"`, `listen = ["udp://:7"]` + "\nbuiltin = \"echo\"\nidle = \"5m\"\n", "of a tcp socket alone"},
		{`session = "1h"`, `listen = ["tcp://:7"]` + "\nbuiltin = \"echo\"\nhangup = true\n", "a builtin has no hangup"},
		{`first_byte = "10ms"`, `listen = ["tcp://:79"]` + "\n" + program, "10ms is out of range"},
		{`first_byte = "10s"` + "\n" + `session = "9s"`, `listen = ["tcp://:79"]` + "\n" + program, "no shorter than session 9s"},
		{`min_rate = "2MiB/s"`, `listen = ["tcp://:79"]` + "\n" + program, "2097152"},
		{`min_rate = 100`, `listen = ["tcp://:79"]` + "\n" + program, "must be a string"},
	} {
		doc, ds := compileText(head + "limit \"l\" {\n" + tt.limit + "\n}\nservice \"s\" {\n" + tt.service + "acl = acl.anyone\nlimit = limit.l\n}\n")
		if got := show(ds); (doc != nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s; %s: want %q, got:\n%s", tt.limit, tt.service, tt.want, got)
		} else if doc == nil && ds[0].Line == 0 {
			t.Errorf("%s: no place", got)
		}
	}
	doc, ds := compileText(head + "limit \"l\" {\nfirst_byte = \"1m30s\"\nmin_rate = \"3KiB/s\"\npenalty {\non = [\"slow\"]\nfirst = \"1s\"\nmax = \"1s\"\n}\n}\n" + strings.TrimPrefix(one("acl = acl.anyone\nlimit = limit.l"), head))
	if doc == nil {
		t.Fatal(show(ds))
	}
	if l := doc.Policy.Limit("l"); l.FirstByte != 90*time.Second || l.MinRate != 3072 {
		t.Errorf("%+v", l)
	}
}
