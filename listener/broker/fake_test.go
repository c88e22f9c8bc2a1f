package broker

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/listener/host"
	"casemate/listener/lease"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/cgroup/events"
	"casemate/sandbox/zygote"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// fakeCell starts real processes, without a sandbox around them.
type fakeCell struct {
	mu     sync.Mutex
	argv   []string
	refuse error         // of Spawn
	errno  syscall.Errno // of every start
	mute   bool          // zygotes do not reply
	boom   bool          // every call panics
	forge  func(*zygote.Reply)
	saw    func(*zygote.Request) // each start; its descriptors are closed afterwards
	last   *fakeZygote
	spawns int
	closed bool

	oomKills atomic.Uint64
}

func (c *fakeCell) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *fakeCell) Spawn() (hands.Starter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawns++
	if c.boom {
		panic("boom")
	}
	if c.refuse != nil {
		return nil, c.refuse
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stand, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		return nil, err
	}
	c.last = &fakeZygote{cell: c, r: r, w: w, pid: stand.Pid}
	return c.last, nil
}

func (c *fakeCell) Losses() []string { return nil }

func (c *fakeCell) Log() bool { return false }

func (c *fakeCell) State(uint32, uint32) (int, error) { return -1, nil }

func (c *fakeCell) Proof() (string, error) { return "", nil }

func (c *fakeCell) Events() events.Events {
	return events.Events{OOMKills: c.oomKills.Load()}
}

func (c *fakeCell) Close() error {
	c.set(func() { c.closed = true })
	return nil
}

type fakeZygote struct {
	cell    *fakeCell
	r, w    *os.File
	pid     int
	mu      sync.Mutex
	replies []zygote.Reply
	marks   []zygote.Reply
	dead    bool
}

func (z *fakeZygote) FD() int  { return int(z.r.Fd()) }
func (z *fakeZygote) PID() int { return z.pid }

func (z *fakeZygote) TakeListener() int { return -1 }

// Marks say that a mute zygote hangs in its program's exec.
func (z *fakeZygote) Marks() []zygote.Reply {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.marks
}

func (z *fakeZygote) Abandon() error { return z.Close() }

func (z *fakeZygote) Close() error {
	unix.Kill(z.pid, unix.SIGKILL)
	z.w.Close()
	return z.r.Close()
}

// die ends the zygote as SIGKILL would.
func (z *fakeZygote) die() {
	z.mu.Lock()
	z.dead = true
	z.mu.Unlock()
	z.w.Write([]byte{0})
}

func (z *fakeZygote) Send(q *zygote.Request) error {
	c := z.cell
	c.mu.Lock()
	argv, errno, mute, boom, forge, saw := c.argv, c.errno, c.mute, c.boom, c.forge, c.saw
	c.mu.Unlock()
	if saw != nil {
		saw(q)
	}
	if boom {
		panic("boom")
	}
	if mute {
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.marks == nil { // it has one thread
			z.marks = []zygote.Reply{{ID: q.ID, Step: "exec"}}
		}
		return nil
	}
	reply := zygote.Reply{ID: q.ID, Step: "exec", Errno: errno}
	if forge != nil {
		forge(&reply)
	} else if errno == 0 {
		fd, err := unix.FcntlInt(uintptr(q.FDs[0]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "client")
		if fd, err = unix.FcntlInt(uintptr(q.FDs[len(q.FDs)-1]), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		stderr := os.NewFile(uintptr(fd), "stderr")
		p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Env: q.Env, Files: []*os.File{f, f, stderr}})
		f.Close()
		stderr.Close()
		if err != nil {
			return err
		}
		reply.PID = p.Pid
		p.Release()
	}
	z.mu.Lock()
	z.replies = append(z.replies, reply)
	z.mu.Unlock()
	z.w.Write([]byte{0})
	return nil
}

func (z *fakeZygote) Recv() (zygote.Reply, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.dead {
		return zygote.Reply{}, io.EOF
	}
	if len(z.replies) == 0 {
		return zygote.Reply{}, unix.EAGAIN
	}
	var b [1]byte
	z.r.Read(b[:])
	r := z.replies[0]
	z.replies = z.replies[1:]
	return r, nil
}

// rig is a broker with fake sandboxes and a log that tests can wait on.
type rig struct {
	*Broker
	warden *warden.Warden
	path   string // of the control socket
	t      *testing.T
	doc    *policy.Document
	fail   error // of the compiler
	mu     sync.Mutex
	fakes  map[string]*fakeCell
	lines  chan string
	ended  chan error
	sites  atomic.Int64 // that are looked at
	finds  atomic.Int64 // services that were looked up on this host
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, fakes: map[string]*fakeCell{}, lines: make(chan string, 10000), ended: make(chan error, 1)}
	g.path = t.TempDir() + "/control.sock"
	door, err := warden.OpenDoor(g.path, "")
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	load, err := os.Open("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	g.Broker, err = New(Config{Door: door, Log: w, Null: null, LoadAvg: load, About: warden.About{PID: os.Getpid(), Version: "test"},
		Hands: func(l *loop.Loop, warn func(string, string, error)) hands.Hands {
			blocks := host.NewBlocks(t.TempDir() + "/leases")
			if _, _, err := blocks.Open(); err != nil {
				t.Fatal(err)
			}
			g.warden = warden.New(warden.Config{Warn: warn}, l, blocks)
			return near{g.warden, l, blocks, lease.New(blocks.Take), &g.sites, &g.finds}
		}})
	if err != nil {
		t.Fatal(err)
	}
	g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) { return g.doc, nil, g.fail }
	g.plan = func(...*warden.Job) error { return nil }
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		c, closed := g.fakes[j.Service], true
		if c != nil {
			c.set(func() { closed = c.closed })
		}
		if closed {
			c = &fakeCell{argv: argvOf(j)}
			g.fakes[j.Service] = c
		}
		return c, nil
	}
	g.logWorker.worker.helper.(*warden.Helper).Prepare = func() (warden.Cell, error) { return nil, errors.New("no log worker here") }
	g.names.worker.helper.(*warden.Helper).Prepare = func() (warden.Cell, error) { return nil, errors.New("no names worker here") }
	go g.tail(r)
	go func() { g.ended <- g.Run() }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-g.ended; err != nil {
			t.Error(err)
		}
		// Root has few places for such, and what keeps one keeps a later load from it.
		for late := time.Now().Add(30 * time.Second); g.sites.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Errorf("%d sites are looked at still", g.sites.Load())
				break
			}
		}
		w.Close()
		door.Close()
	})
	return g
}

func (g *rig) tail(r *os.File) {
	defer r.Close()
	var text []byte
	buf := make([]byte, 65536)
	for {
		n, err := r.Read(buf)
		text = append(text, buf[:n]...)
		for {
			line, rest, ok := strings.Cut(string(text), "\n")
			if !ok {
				break
			}
			text = []byte(rest)
			g.lines <- line
		}
		if err != nil {
			return
		}
	}
}

// expect waits for a record that holds all of want, and returns it.
func (g *rig) expect(want ...string) string {
	g.t.Helper()
	late := time.After(30 * time.Second)
	var others []string
	for {
		select {
		case line := <-g.lines:
			if strings.Contains(line, `"msg":"bug"`) && want[0] != `"msg":"bug"` {
				g.t.Errorf("%s", line)
			}
			all := true
			for _, w := range want {
				all = all && strings.Contains(line, w)
			}
			if all {
				return line
			}
			others = append(others, line)
		case <-late:
			g.t.Fatalf("no record with %q among\n%s", want, strings.Join(others, "\n"))
		}
	}
}

func (g *rig) load(services ...policy.Service) {
	g.t.Helper()
	g.setPolicy(services...)
	if _, _, err := g.Load(); err != nil {
		g.t.Fatal(err)
	}
}

// loadPolicy is load for a policy that is more than its services.
func (g *rig) loadPolicy(p *policy.Policy) {
	g.t.Helper()
	g.put(p)
	if _, _, err := g.Load(); err != nil {
		g.t.Fatal(err)
	}
}

// put has the next load find it.
func (g *rig) put(p *policy.Policy) {
	g.t.Helper()
	doc, err := newDocument(p, policy.Origins{})
	if err != nil {
		g.t.Fatal(err)
	}
	g.doc = doc
}

func (g *rig) setPolicy(services ...policy.Service) {
	g.t.Helper()
	doc, err := newDocument(testPolicy(services...), policy.Origins{"acls.anyone.rules.0": "a.cm.hcl:3:3"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.doc = doc
}

// testPolicy has the blocks that svc names.
func testPolicy(services ...policy.Service) *policy.Policy {
	penalties := limit.Penalty{On: []limit.Class{limit.Crash, limit.Timeout, limit.Violation}, First: time.Minute, Max: time.Hour}
	return &policy.Policy{Edition: 1, OnStop: "end", OnBroken: "retry", Filters: granted.Filters{"zero": {{0}}},
		ACLs: []acl.List{
			{Name: "anyone", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"any"}}}, Default: acl.Deny},
			{Name: "named", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{".example.org"}}}, Default: acl.Deny},
			{Name: "nobody", Rules: []acl.Rule{}, Default: acl.Deny},
		},
		Limits: []limit.Spec{
			{Name: "brief", Session: 2 * time.Second, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}},
			{Name: "none", PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}},
			{Name: "one", Concurrent: 1, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}},
			{Name: "patient", PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}, Penalty: penalties},
			{Name: "prompt", FirstByte: 2 * time.Second, MinRate: 100, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64},
				Penalty: limit.Penalty{On: []limit.Class{limit.Slow}, First: time.Minute, Max: time.Hour}},
			{Name: "strict", Session: time.Second, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}, Penalty: penalties},
		},
		Profiles: []sandbox.Profile{{Name: "p", Network: sandbox.Network{Mode: "listener"},
			Syscalls: sandbox.Syscalls{Allow: []string{"@strict"}, Filter: "zero", OnViolation: "kill"}}},
		Services: services,
	}
}

// svc is a service on a loopback port.
func svc(name, network string, port uint16, argv ...string) policy.Service {
	return policy.Service{Name: name, Command: argv, User: "dynamic", ACL: "anyone", Limit: "none", Profile: "p", Stdio: "socket",
		Dir: "/", Linger: time.Minute, KeepSocket: true, Log: "all",
		Listen: []address.Listen{{Network: network, Addr: loopback, Port: port, LastPort: port}}}
}

// freePort finds a port that nobody has just now.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := strconv.ParseUint(need.Port(t), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(port)
}

func (g *rig) status1(name string) control.ServiceStatus {
	g.t.Helper()
	st, err := g.status(control.Request{Service: name})
	if err != nil {
		g.t.Fatal(err)
	}
	return st.Services[0]
}

// newDocument wraps a valid policy with its digest.
func newDocument(p *policy.Policy, o policy.Origins) (*policy.Document, error) {
	b, err := canon.Encode(p)
	if err != nil {
		return nil, err
	}
	text, err := canon.EncodeDocument(&policy.Document{FormatVersion: granted.DocumentFormat, Digest: granted.Digest(b), Policy: p, Origins: o})
	if err != nil {
		return nil, err
	}
	return canon.DecodeDocument(text) // which shares nothing with p
}

// argvOf is the command of a job; a built-in's worker has none here.
func argvOf(j *warden.Job) []string {
	if j.Argv[0] == "casemate-worker" {
		return nil
	}
	return append([]string{j.Path}, j.Argv[1:]...)
}
