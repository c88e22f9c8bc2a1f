package root

import (
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestPythonService: a real Python with a pool of processes, whose locks are named
// semaphores in /dev/shm, serves with a private one, and cannot without.
func TestPythonService(t *testing.T) {
	rig.Root(t)
	python := need.Programs(t, "/usr/bin/python3")[0]
	const script = `
import logging, multiprocessing, sys
def work(queue, lock, n):
    with lock:
        queue.put(n * n)
if __name__ == "__main__":
    logging.warning("asked")
    queue, lock = multiprocessing.Queue(), multiprocessing.Lock()
    all = [multiprocessing.Process(target=work, args=(queue, lock, n)) for n in range(4)]
    for p in all: p.start()
    print(sorted(queue.get(timeout=30) for _ in all))
    for p in all: p.join()
    with open("/dev/null", "r+b", buffering=0) as null: print(null.write(b"x"), null.read())
    print("by name", file=open("/dev/stderr", "w"))
`
	with, without := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+`
profile "pool" {
  base   = profile.python
  widens = ["files"]
  files { proc = true } # for /dev/stderr
}
`+service("with", "tcp://127.0.0.1:"+with, []string{python, "-c", script}, "profile = profile.pool")+
		service("without", "tcp://127.0.0.1:"+without, []string{python, "-c", script}, "profile = profile.server"))
	exchange(t, with, "", "[0, 1, 4, 9]\n1 b''\n")
	for _, text := range []string{"WARNING:root:asked", "by name"} {
		if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "with", "text", text); err != nil {
			t.Error(err)
		}
	}
	exchange(t, without, "", "")
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "without", "exit", "1"); err != nil {
		t.Error(err)
	}
}
