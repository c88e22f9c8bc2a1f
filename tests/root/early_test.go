package root

import (
	"fmt"
	"io"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestEarlyDrop: between start and concurrent the draw refuses some newcomers and admits others, of a program's service as of a
// built-in's, and says so. That one of the two does not happen in 64 draws at a half is no chance.
func TestEarlyDrop(t *testing.T) {
	rig.Root(t)
	program, ports := rig.Compile(t, "testdata/manners.c"), map[string]string{"own": rig.Port(t), "built": rig.Port(t)}
	b := rig.Serve(t, head+"limit \"it\" {\n  concurrent = 10000\n  early_drop {\n    start = 1\n    percent = 50\n  }\n}\n"+
		service("own", "tcp4://127.0.0.1:"+ports["own"], []string{program, "serve"}, "profile = profile.strict", "limit = limit.it")+
		fmt.Sprintf("\nservice \"built\" {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  builtin = \"echo\"\n  acl = acl.loopback\n  limit = limit.it\n}\n", ports["built"]))
	for name, port := range ports {
		first, err := dialFrom("127.0.0.1", port)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service(name)
			if err == nil && s.Live < 1 {
				err = fmt.Errorf("%d live", s.Live)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		served, dropped := 0, uint64(0)
		for range 64 {
			if got, err := answered(port); err == nil && got != "" {
				served++
			} else {
				dropped++
			}
		}
		if served == 0 || dropped == 0 {
			t.Errorf("%s: %d served and %d dropped", name, served, dropped)
		}
		if err := rig.Until(30*time.Second, func() error {
			if n := refusedBy(t, b, name, "early-drop"); n != dropped {
				return fmt.Errorf("status counts %d dropped early, not %d", n, dropped)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// answered is what a client hears that says one line and no more.
func answered(port string) (string, error) {
	c, err := dialFrom("127.0.0.1", port)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("please\n")); err != nil {
		return "", err
	}
	_ = c.CloseWrite()
	text, err := io.ReadAll(c)
	return string(text), err
}
