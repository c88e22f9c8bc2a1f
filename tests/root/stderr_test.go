package root

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// sayTheirNames has so many clients of each service at the same time say who they are
// ("NAME-0", "NAME-1" ...) and hear ok.
func sayTheirNames(t *testing.T, ports map[string]string, clients int) {
	t.Helper()
	var wg sync.WaitGroup
	for name, port := range ports {
		for i := range clients {
			wg.Go(func() {
				if got, err := rig.Exchange(port, fmt.Sprintf("%s-%d\n", name, i)); err != nil || got != "ok\n" {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			})
		}
	}
	wg.Wait()
}

// TestStderrBelongsToItsSession: a line has the id of its session, whoever of the
// session's processes wrote it, whatever stands in front of it, and when several of
// one user are there at once.
func TestStderrBelongsToItsSession(t *testing.T) {
	rig.Root(t)
	script := `read -r line; sh -c "sleep 0.1; echo $line child >&2"; echo "$line itself" >&2; echo ok`
	ports, text := map[string]string{}, head+"\nprofile \"plain\" {\n  base = profile.server\n  init = false\n}\n"
	for name, extra := range map[string][]string{
		"plain": {"profile = profile.plain", `user = "nobody"`}, "leased": {"profile = profile.server"},
		"fixed": {"profile = profile.server", `user = "nobody"`},
	} {
		ports[name] = rig.Port(t)
		text += service(name, "tcp://127.0.0.1:"+ports[name], []string{"/bin/sh", "-c", script}, extra...)
	}
	b := rig.Serve(t, text)
	const clients = 5
	sayTheirNames(t, ports, clients)
	for name := range ports {
		whose := map[string]int{}
		sessions, err := b.Await(clients, 30*time.Second, "msg", "session", "service", name, "exit", "0")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sessions {
			whose[s.Str("id")] = -1
		}
		for i := range clients {
			for _, who := range []string{"child", "itself"} {
				line, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", name, "text", fmt.Sprintf("%s-%d %s", name, i, who))
				if err != nil {
					t.Fatal(err)
				}
				id := line[0].Str("id")
				if other, ok := whose[id]; !ok || other >= 0 && other != i {
					t.Errorf("%s: the %s of client %d has id %s, among %v", name, who, i, id, whose)
				}
				whose[id] = i
			}
		}
		if len(whose) != clients {
			t.Errorf("%s: %v", name, whose)
		}
	}
}

// TestStderrByName: whoever a program runs as, it may open its stderr anew by each of its names.
func TestStderrByName(t *testing.T) {
	rig.Root(t)
	script := "echo one >/dev/stderr && echo two >>/dev/fd/2 && echo three >/proc/self/fd/2 && echo ok; (: </dev/stderr) && echo read; :"
	for _, user := range []string{"dynamic", "nobody", "root"} {
		port := rig.Port(t)
		extra := []string{fmt.Sprintf("user = %q", user), "profile = profile.named"}
		if user == "root" {
			extra = append(extra, `because = "a test of root"`)
		}
		b := rig.Serve(t, head+"\nprofile \"named\" {\n  base = profile.server\n  files { proc = true }\n}\n"+
			service("named", "tcp://127.0.0.1:"+port, []string{"/bin/sh", "-c", script}, extra...))
		exchange(t, port, "", "ok\n")
		for _, text := range []string{"one", "two", "three"} {
			if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "named", "text", text); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
	}
}

// TestStoppedLogWorker: neither a log worker that is stopped nor one that dies holds
// up a client, what was lost is counted, and another one takes over.
func TestStoppedLogWorker(t *testing.T) {
	rig.Root(t)
	port, quiet := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+
		service("loud", "tcp://127.0.0.1:"+port, []string{"/bin/sh", "-c", "read -r n; head -c $n /dev/zero | tr '\\0' '\\n' >&2; echo ok"}, "profile = profile.server")+
		service("quiet", "tcp://127.0.0.1:"+quiet, []string{"/bin/sh", "-c", "read -r line; echo $line >&2; echo ok"}, "profile = profile.server"))
	exchange(t, quiet, "hello\n", "ok\n")
	if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "text", "hello"); err != nil {
		t.Fatal(err)
	}
	worker := logWorkerPID(t, b, 0)
	rig.Signal(t, worker, syscall.SIGSTOP)
	loudly(t, port, 300)
	exchange(t, quiet, "kept\n", "ok\n")
	next := logWorkerPID(t, b, worker)
	for _, text := range []string{"kept", "after"} {
		if text == "after" {
			exchange(t, quiet, "after\n", "ok\n")
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "quiet", "text", text); err != nil {
			t.Error(err)
		}
	}
	lost, err := b.Await(1, 30*time.Second, "msg", "stderr-lost", "service", "loud")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(lost[0].Str("count")); err != nil || n < 1 {
		t.Errorf("%v, %v", lost, err)
	}

	if err := syscall.Kill(next, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	loudly(t, port, 30)
	logWorkerPID(t, b, next)
	exchange(t, quiet, "again\n", "ok\n")
	if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "quiet", "text", "again"); err != nil {
		t.Error(err)
	}
}

// loudly has clients whose programs write more to stderr than a pipe holds.
func loudly(t *testing.T, port string, clients int) {
	t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := range next {
				// One in ten more than its pipe holds.
				if got, err := rig.Exchange(port, map[bool]string{true: "200000\n", false: "3000\n"}[i%10 == 0]); err != nil || got != "ok\n" {
					t.Errorf("client %d: %q, %v", i, got, err)
				}
			}
		})
	}
	begin := time.Now()
	for i := range clients {
		next <- i
	}
	close(next)
	wg.Wait()
	t.Logf("%d clients in %v", clients, time.Since(begin))
}

// logWorkerPID is the log worker of a broker, another one than old.
func logWorkerPID(t *testing.T, b *rig.Broker, old int) (pid int) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		children, err := rig.Children(b.PID)
		for _, c := range children {
			if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID)); string(text) == "casemate-worker\x00log\x00" && c.PID != old {
				pid = c.PID
				return nil
			}
		}
		return fmt.Errorf("no other log worker among %v, %v", children, err)
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestStderrToTheClient: with stderr = "client" its client reads what a program complains of, and the log has
// nothing of it.
func TestStderrToTheClient(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+service("lost", "tcp://127.0.0.1:"+port, []string{"/bin/cat", "/no/such/file"}, "profile = profile.line", `stderr = "client"`))
	exchange(t, port, "", "cat: /no/such/file: No such file or directory\n")
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "lost", "exit", "1"); err != nil {
		t.Error(err)
	}
	if got, err := b.Find("msg", "stderr", "service", "lost"); err != nil || len(got) > 0 {
		t.Errorf("the log has %v, %v", got, err)
	}
}
