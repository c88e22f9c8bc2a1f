package root

import (
	"os"
	"testing"

	"casemate/tests/root/rig"
)

// TestCVE2001_1322_Umask: a daemon's umask of 0 was its programs'. A broker that is started with
// it gives them 0077, or what the policy says, and makes no file of its own that others can write.
func TestCVE2001_1322_Umask(t *testing.T) {
	rig.Root(t)
	program, plain, said := rig.Compile(t, "testdata/manners.c"), rig.Port(t), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Under: []string{"/bin/sh", "-c", `umask 0 && exec "$0" "$@"`},
		Files: map[string]string{"test.cm.hcl": head + service("plain", "tcp://127.0.0.1:"+plain, []string{program, "self"}, "profile = profile.line") +
			service("said", "tcp://127.0.0.1:"+said, []string{program, "self"}, "profile = profile.line", `umask = "0027"`)}})
	for port, want := range map[string]string{plain: "umask 0077", said: "umask 0027"} {
		told, err := rig.Exchange(port, "")
		if err != nil {
			t.Fatal(err)
		}
		tells(t, told, want)
	}
	for _, path := range []string{b.LogFile, b.Control} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
