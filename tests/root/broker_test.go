package root

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/sandbox/zygote"
	"casemate/tests/root/rig"
)

// TestBrokerIsConfined: every thread of casemated has the capabilities of the
// table in SECURITY.md and no others, can gain none, and is behind the filter that
// takes calls from all; what it starts has that filter as well as its own.
func TestBrokerIsConfined(t *testing.T) {
	rig.Root(t)
	b, ports := rogues(t, "", "hold")
	c, err := rig.Dial(ports["hold"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 16)); err != nil { // the program runs
		t.Fatal(err)
	}
	own, err := rig.Status(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	bound, err := strconv.ParseUint(own["CapBnd"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if bound&^zygote.BrokerCaps == 0 || own["NoNewPrivs"] != "0" {
		t.Logf("this process is confined itself (CapBnd %s, NoNewPrivs %s): less is seen here", own["CapBnd"], own["NoNewPrivs"])
	}
	inherited, err := strconv.Atoi(own["Seccomp_filters"])
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%016x", bound&zygote.BrokerCaps)
	none := fmt.Sprintf("%016x", 0)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", b.PID))
	if err != nil || len(threads) < 3 {
		t.Fatalf("%d threads (%v)", len(threads), err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			t.Fatal(err)
		}
		s, err := rig.Status(tid)
		if err != nil {
			continue // it has ended
		}
		for _, w := range [][2]string{
			{"CapBnd", want}, {"CapPrm", want}, {"CapEff", fmt.Sprintf("%016x", bound&zygote.BrokerCaps&^zygote.LatentCaps)}, {"CapInh", none}, {"CapAmb", none},
			{"NoNewPrivs", "1"}, {"Seccomp", "2"}, {"Seccomp_filters", strconv.Itoa(inherited + 1)},
		} {
			if s[w[0]] != w[1] {
				t.Errorf("thread %d: %s is %q, want %q", tid, w[0], s[w[0]], w[1])
			}
		}
	}
	// Until it is so: one that is just being made has not its own filter yet, and one that only proved something at the load may end.
	if err := rig.Until(10*time.Second, func() error {
		below, seen := family(t, b.PID)[1:], 0
		for _, pid := range below {
			s, err := rig.Status(pid)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				return err
			}
			if s["Seccomp_filters"] != strconv.Itoa(inherited+2) {
				return fmt.Errorf("process %d: %s filters, want the broker's and its own", pid, s["Seccomp_filters"])
			}
			seen++
		}
		if seen < 3 {
			return fmt.Errorf("%d of processes %v below the broker, want the log worker, a zygote and its program", seen, below)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
