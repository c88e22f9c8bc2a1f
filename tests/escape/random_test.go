package escape

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/policy/lang"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// randomMinutes is the variable that says how long TestRandomSessions goes on with seeds of its own, in minutes; randomSeed is one to begin with.
const (
	randomMinutes = "CASEMATE_RANDOM_MINUTES"
	randomSeed    = "CASEMATE_RANDOM_SEED"
)

// TestRandomSessions has programs make system calls by chance under every shipped profile. What they do is of no interest: afterwards
// the kernel has not stumbled, nothing is left of them, and each service serves.
func TestRandomSessions(t *testing.T) {
	rig.Root(t)
	minutes, err := strconv.ParseFloat(os.Getenv(randomMinutes), 64)
	long := time.Duration(minutes * float64(time.Minute))
	if !rig.Alone(t, 3*time.Minute+long) { // two profiles have the host's network, and chance may know an address
		return
	}
	seed := uint64(1)
	if err == nil {
		seed = rand.Uint64() >> 20
	}
	if n, err := strconv.ParseUint(os.Getenv(randomSeed), 0, 64); err == nil {
		seed = n
	}
	victim := compileVictim(t)
	var s strings.Builder
	s.WriteString("policy { edition = 1 }\nlimit \"wide\" {\n  session = \"1s\"\n  concurrent = 8\n  rate = \"100000/s\"\n  burst = 100000\n  per_source {\n    concurrent = 8\n    rate = \"100000/s\"\n    burst = 100000\n  }\n}\n")
	ports := map[string]string{}
	for _, p := range lang.ShippedProfiles() {
		if p.Name == "relay" { // for no program of C
			continue
		}
		ports[p.Name] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = %q\n  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[1]s\n}\n",
			p.Name, ports[p.Name], victim, shippedUser(&p))
	}
	b := rig.Serve(t, s.String())
	serve := func() {
		t.Helper()
		for name, port := range ports {
			if err := rig.Until(30*time.Second, func() error {
				if answer, err := rig.Exchange(port, "limits\n"); err != nil || !strings.Contains(answer, "limits ok") {
					return fmt.Errorf("%q (%v)", answer, err)
				}
				return nil
			}); err != nil {
				t.Fatalf("%s does not serve: %v", name, err)
			}
		}
	}
	serve()
	tries := 0
	if err := rig.Until(30*time.Second, func() error { // from the first denied call on there is a worker more
		tries++ // one may wait in its first call for all of its time
		_, _ = rig.Exchange(ports["files"], fmt.Sprintf("random %d 2000 150\n", tries))
		got, err := b.Find("msg", "denied", "service", "files")
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("after %d sessions no call is denied", tries)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	before := atRest(t, b, ports, nil)
	said := kernelSaid(t)

	end := time.Now().Add(long)
	t.Logf("from seed %d", seed)
	rounds := 0
	for ; rounds < 2 || time.Now().Before(end); rounds++ {
		var sessions sync.WaitGroup
		room := make(chan struct{}, 4)
		for _, port := range ports {
			room <- struct{}{}
			seed++
			line := fmt.Sprintf("random %d 20000 150\n", seed)
			sessions.Go(func() {
				_, _ = rig.Exchange(port, line) // what it answers is chance as well
				<-room
			})
		}
		sessions.Wait()
		if stumbles := stumbled(kernelSaid(t), said); len(stumbles) > 0 {
			t.Fatalf("the kernel says, by seed %d:\n%s", seed, strings.Join(stumbles, "\n"))
		}
		if _, err := b.Status(); err != nil {
			t.Fatalf("the broker does not answer any more, by seed %d: %v", seed, err)
		}
	}
	t.Logf("%d rounds of %d sessions, to seed %d", rounds, len(ports), seed)

	serve()
	atRest(t, b, ports, &before)
}

// kernelSaid is the kernel's log.
func kernelSaid(t *testing.T) []string {
	t.Helper()
	buf := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if errors.Is(err, unix.EPERM) {
		return nil // a container's: it has the host's, which is not ours to read
	}
	try(t, err)
	return strings.Split(string(buf[:n]), "\n")
}

// stumbled are the lines of now, and not of before, by which a kernel says that something of its own went wrong.
func stumbled(now, before []string) (out []string) {
	old := map[string]bool{}
	for _, line := range before {
		old[line] = true
	}
	for _, line := range now {
		for _, word := range []string{"Oops", "BUG:", "WARNING:", "general protection fault, ", "unable to handle", "soft lockup", "hung task", "refcount_t:", "UBSAN", "KASAN"} {
			if strings.Contains(line, word) && !old[line] {
				out = append(out, line)
			}
		}
	}
	return out
}
