package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"casemate/listener/address"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// failing makes the sandboxes of the service called name fail while the returned
// error is not nil, and counts how often one was asked for.
func (g *rig) failing(name string, first error) (fault *atomic.Pointer[error], tries *atomic.Int32) {
	fault, tries = new(atomic.Pointer[error]), new(atomic.Int32)
	fault.Store(&first)
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		if j.Service == name {
			tries.Add(1)
			if err := *fault.Load(); err != nil {
				return nil, err
			}
		}
		return cells(j)
	}
	return fault, tries
}

// soon ends the wait for the next try of a service.
func (g *rig) soon(name string) {
	g.do(func() {
		s := g.gen.service(name)
		g.loop.Disarm(&s.again)
		s.Expire(nil)
	})
}

// TestBrokenServiceAtStart: what one service lacks keeps no other from its clients; it is
// shown, told once for each reason, and served as soon as it can be.
func TestBrokenServiceAtStart(t *testing.T) {
	g, good, bad := newRig(t), freePort(t), freePort(t)
	told := make(chan string, 100)
	g.conf.Tell = func(s string) { told <- s }
	fault, tries := g.failing("bad", errors.New("command /gone: no such file"))
	user := svc("user", "tcp", freePort(t), "/bin/cat")
	user.User = "nosuchuser"
	g.load(svc("bad", "tcp", bad, "/bin/cat"), svc("good", "tcp", good, "/bin/cat"), user)
	echoes(t, dial(t, good))
	if got := <-told; got != "STATUS=serving 1 of 3 services" {
		t.Error(got)
	}
	for name, want := range map[string]string{"bad": "/gone: no such file", "user": `services.user.user: user "nosuchuser"`} {
		st := g.status1(name)
		if !st.Broken || !strings.Contains(st.Error, want) || len(st.Listeners) != 1 || st.Listeners[0].State != "broken" {
			t.Errorf("%+v", st)
		}
	}
	if st := g.status1("good"); st.Broken || st.Error != "" {
		t.Errorf("%+v", st)
	}
	g.expect(`"msg":"service not served`, `"service":"bad"`, "/gone")
	if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", bad)); err == nil {
		c.Close()
		t.Error("a service without a sandbox takes clients")
	}
	eventually(t, func() bool { return tries.Load() >= 2 }) // by itself
	other := errors.New("another reason")
	fault.Store(&other)
	g.soon("bad")
	if line := g.expect(`"msg":"service not served`, `"service":"bad"`); !strings.Contains(line, "another reason") {
		t.Errorf("the same reason twice: %s", line)
	}
	var none error
	fault.Store(&none)
	g.soon("bad")
	g.expect(`"msg":"service prepared anew`, `"service":"bad"`)
	echoes(t, dial(t, bad))
	if got := <-told; got != "STATUS=serving 2 of 3 services" {
		t.Error(got)
	}
}

// TestMissingAddressAtStart: the listeners of a service are opened one by one.
func TestMissingAddressAtStart(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	foreign := address.Listen{Network: "tcp", Addr: netip.MustParseAddr("192.0.2.1"), Port: port, LastPort: port}
	s.Listen = append(s.Listen, foreign)
	g.load(s)
	echoes(t, dial(t, port))
	st := g.status1("cat")
	if st.Listeners[0].State != "listening" || st.Listeners[1].State != "retrying" || !strings.Contains(st.Listeners[1].Error, "cannot assign") {
		t.Errorf("%+v", st.Listeners)
	}
	g.expect("listener cannot be opened", "192.0.2.1")
	// It was so before, and is no reason to refuse the rest of a policy; a new one is.
	s.Banner = "closed"
	g.load(s)
	s.Listen[1].Port, s.Listen[1].LastPort = port+1, port+1
	g.setPolicy(s)
	if _, _, err := g.Load(); err == nil || !strings.Contains(err.Error(), "services.cat.listen.1: bind") {
		t.Errorf("%v", err)
	}
}

// TestStartWithNothingToServe fails, with every reason.
func TestStartWithNothingToServe(t *testing.T) {
	g := newRig(t)
	_, _ = g.failing("bad", errors.New("no program"))
	far := svc("far", "tcp", freePort(t), "/bin/cat")
	far.Listen[0].Addr = netip.MustParseAddr("192.0.2.1")
	g.setPolicy(svc("bad", "tcp", freePort(t), "/bin/cat"), far)
	_, _, err := g.Load()
	if err == nil || !strings.Contains(err.Error(), "no program") || !strings.Contains(err.Error(), "services.far.listen.0: bind") {
		t.Errorf("%v", err)
	}
}

// TestBrokenRefuses: with on_broken = "refuse" a start is all or nothing, as a reload is.
func TestBrokenRefuses(t *testing.T) {
	g, good := newRig(t), freePort(t)
	_, _ = g.failing("bad", errors.New("no program"))
	p := testPolicy(svc("bad", "tcp", freePort(t), "/bin/cat"), svc("good", "tcp", good, "/bin/cat"))
	p.OnBroken = policy.BrokenRefuse
	g.put(p)
	if _, _, err := g.Load(); err == nil || err.Error() != "no program" {
		t.Errorf("%v", err)
	}
	if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", good)); err == nil {
		c.Close()
		t.Error("the other one is served")
	}
}

// TestReloadAfterABrokenStart: what was broken and is unchanged refuses nothing, and
// the answer says so; all else is refused as a whole.
func TestReloadAfterABrokenStart(t *testing.T) {
	g, port := newRig(t), freePort(t)
	fault, _ := g.failing("bad", errors.New("no program"))
	good, bad := svc("good", "tcp", port, "/bin/cat"), svc("bad", "tcp", freePort(t), "/bin/cat")
	g.load(bad, good)
	good.Banner = "closed"
	g.setPolicy(bad, good)
	digest, diags, err := g.Load()
	if err != nil || digest != g.doc.Digest || len(diags) != 1 || diags[0].Severity != policy.SeverityWarning || diags[0].Summary != "no program" {
		t.Errorf("%s, %+v, %v", digest, diags, err)
	}
	if st := g.status1("bad"); !st.Broken {
		t.Errorf("%+v", st)
	}
	changed := bad
	changed.Umask = 7
	g.setPolicy(changed, good)
	if got, _, err := g.Load(); err == nil || got != digest {
		t.Errorf("a changed service that cannot be prepared: %s, %v", got, err)
	}
	var none error
	fault.Store(&none)
	g.load(bad, good)
	echoes(t, dial(t, bad.Listen[0].Port))
	if st := g.status1("bad"); st.Broken || st.Error != "" {
		t.Errorf("%+v", st)
	}
}

// TestOptionalPaths: one that is missing is not asked of the sandbox; the others are.
func TestOptionalPaths(t *testing.T) {
	dir := t.TempDir()
	here, gone, must := dir+"/here", dir+"/gone", dir+"/must"
	replace(t, here, "")
	p := sandbox.Profile{Files: sandbox.Files{Read: []string{here, gone, must}, Write: []string{gone + "2"}, Optional: []string{here, gone, gone + "2"}}}
	if got := p.Present().Files; len(got.Write) != 0 || !slices.Equal(got.Read, []string{here, must}) {
		t.Errorf("%+v", got)
	}
	if len(p.Files.Read) != 3 {
		t.Error("the policy's own lists have changed")
	}
}

// varDir is a directory for files that a profile names, which /tmp is not.
func varDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "casemate-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// replace puts a new file in the place of name, as package managers do.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name+".new", []byte(text), 0o755), os.Rename(name+".new", name)); err != nil {
		t.Fatal(err)
	}
}

// TestChangedSources: a service whose program or files are others than those it was
// made from is made anew by the look that comes again and again; who is served already
// stays where it is.
func TestChangedSources(t *testing.T) {
	g, port, file := newRig(t), freePort(t), varDir(t)+"/file"
	replace(t, file, "one")
	fault, tries := g.failing("cat", nil)
	s := svc("cat", "tcp", port, "/bin/cat")
	p := testPolicy(s)
	p.Profiles[0].Files.Read = []string{file}
	g.loadPolicy(p)
	old := dial(t, port)
	echoes(t, old)
	first := g.fakes["cat"]
	again := func() { // the next sandbox gets a fake of its own
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.fakes, "cat")
	}

	g.do(func() { g.loop.Disarm(&g.checks); g.check() })
	eventually(t, func() (done bool) { g.do(func() { done = g.checks.Armed() }); return done })
	if tries.Load() != 1 {
		t.Fatalf("%d sandboxes of an unchanged file", tries.Load())
	}

	broken := errors.New("file is of nobody")
	fault.Store(&broken)
	replace(t, file, "two")
	g.do(func() { g.check() })
	g.expect(`"msg":"service cannot be prepared as the host is now, serving as before"`, `"service":"cat"`, "of nobody")
	echoes(t, dial(t, port))
	if st := g.status1("cat"); st.Broken || !strings.Contains(st.Error, "of nobody") || st.Listeners[0].State != "listening" {
		t.Errorf("%+v", st)
	}
	if _, diags, err := g.Load(); err != nil || len(diags) != 1 { // the same policy again
		t.Errorf("%+v, %v", diags, err)
	}
	echoes(t, dial(t, port))

	var none error
	fault.Store(&none)
	again()
	g.soon("cat")
	g.expect(`"msg":"service prepared anew`, `"service":"cat"`)
	if st := g.status1("cat"); st.Error != "" {
		t.Errorf("%+v", st)
	}
	echoes(t, dial(t, port))
	echoes(t, old)
	first.set(func() {
		if first.closed || first.spawns != 1 {
			t.Errorf("closed %v after %d zygotes, with sessions in it", first.closed, first.spawns)
		}
	})
	if second := g.fakes["cat"]; second.spawns != 1 {
		t.Errorf("%d zygotes of the new sandbox", second.spawns)
	}
	g.do(func() { // the old one goes with the last of its sessions
		for _, s := range g.sessions {
			s.signal(unix.SIGKILL)
		}
	})
	eventually(t, func() (closed bool) { first.set(func() { closed = first.closed }); return closed })
}

// TestChangedProgramAtZygoteStart: the client that starts the zygote gets the new program's.
func TestChangedProgramAtZygoteStart(t *testing.T) {
	g, port, program := newRig(t), freePort(t), t.TempDir()+"/program"
	replace(t, program, "one")
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) { // one for each text
		text, err := os.ReadFile(program)
		if err != nil {
			return nil, err
		}
		j.Service, j.Path, j.Argv = string(text), "/bin/echo", []string{"echo", string(text)}
		return cells(j)
	}
	g.load(svc("p", "tcp", port, program))
	for _, want := range []string{"one", "two", "three"} {
		replace(t, program, want)
		g.do(func() { g.gen.services[0].run.drop() })
		if got, err := io.ReadAll(dial(t, port)); err != nil || string(got) != want+"\n" {
			t.Errorf("%q, %v, want that of %s", got, err, want)
		}
	}
}

// TestUnchangedReload: a reload of the policy in force makes a sandbox for those services alone whose
// host files are others, and clients stay where they are.
func TestUnchangedReload(t *testing.T) {
	g, ports, file := newRig(t), []uint16{freePort(t), freePort(t)}, varDir(t)+"/file"
	replace(t, file, "one")
	made := make(map[string]int)
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) { // one after another: the second has no sandbox to make beside
		g.mu.Lock()
		made[j.Service]++
		g.mu.Unlock()
		return cells(j)
	}
	p := testPolicy(svc("cat", "tcp", ports[0], "/bin/cat"), svc("dog", "tcp", ports[1], "/bin/cat"))
	own := p.Profiles[0]
	own.Name, own.Files.Read = "zz", []string{file}
	p.Profiles = append(p.Profiles, own)
	p.Services[1].Profile = own.Name
	g.put(p)
	load := func(cat, dog int) {
		t.Helper()
		if _, _, err := g.Load(); err != nil {
			t.Fatal(err)
		}
		if made["cat"] != cat || made["dog"] != dog {
			t.Fatalf("%v sandboxes were made, want %d and %d", made, cat, dog)
		}
		for _, port := range ports {
			echoes(t, dial(t, port))
		}
	}
	load(1, 1)
	old := dial(t, ports[0])
	load(1, 1)
	replace(t, file, "two")
	g.mu.Lock()
	delete(g.fakes, "dog") // the next sandbox gets a fake of its own
	g.mu.Unlock()
	load(1, 2)
	load(1, 2)
	echoes(t, old)
	if st, err := g.status(control.Request{}); err != nil || st.Generation != 4 || len(st.Services) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestOthersMayWrite: a sandbox is made anew for a policy by which another service may write
// where something of its own lies, and not because that one writes.
func TestOthersMayWrite(t *testing.T) {
	g, ports, dir := newRig(t), []uint16{freePort(t), freePort(t)}, varDir(t)
	replace(t, dir+"/file", "one")
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	made, knows := 0, false
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		if j.Service == "reads" {
			g.mu.Lock()
			delete(g.fakes, "reads") // each sandbox gets a fake of its own
			made, knows = made+1, slices.Contains(j.Writable(), hostpath.ID{Dev: st.Dev, Ino: st.Ino})
			g.mu.Unlock()
		}
		return cells(j)
	}
	load := func(want int, write ...string) {
		t.Helper()
		p := testPolicy(svc("reads", "tcp", ports[0], "/bin/cat"), svc("writes", "tcp", ports[1], "/bin/cat"))
		for i, name := range []string{"reads", "writes"} {
			own := p.Profiles[0]
			own.Name = name
			p.Profiles = append(p.Profiles, own)
			p.Services[i].Profile = name
		}
		p.Profiles[1].Files.Read, p.Profiles[2].Files.Write = []string{dir + "/file"}, write
		g.loadPolicy(p)
		if made != want || knows != (len(write) > 0 && write[0] == dir) {
			t.Fatalf("%v: %d sandboxes were made, want %d; the last one knows of the directory: %v", write, made, want, knows)
		}
	}
	load(1)
	load(2, dir)
	load(2, dir)
	load(3, dir+"/file")
	if err := os.WriteFile(dir+"/file", []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := g.doc.Policy.Profiles[2].Files.Write[0]
	for name, want := range map[string]bool{"reads": false, "writes": true} {
		s := g.doc.Policy.Service(name)
		site := g.hands.Site(g.doc)
		now := site.Stamp(s)
		site.Close()
		if same := g.gen.service(name).run.stamp == now; same != want {
			t.Errorf("%s, after a write to %s: the stamp is the same: %v", name, file, same)
		}
	}
}

// TestMountsBelow: a sandbox that shows a directory is made anew when something is mounted below it, and when
// that goes.
func TestMountsBelow(t *testing.T) {
	need.Root(t, "it mounts a file system")
	g, port, dir := newRig(t), freePort(t), varDir(t)
	for _, d := range []string{dir + "/shown/in/side", dir + "/shown-not"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		g.mu.Lock()
		delete(g.fakes, "s") // each sandbox gets a fake of its own
		made++
		g.mu.Unlock()
		return cells(j)
	}
	p := testPolicy(svc("s", "tcp", port, "/bin/cat"))
	p.Profiles[0].Files.Read = []string{dir + "/shown"}
	g.put(p)
	load := func(what string, want int) {
		t.Helper()
		if _, _, err := g.Load(); err != nil {
			t.Fatal(err)
		}
		if made != want {
			t.Fatalf("%s: %d sandboxes were made, want %d", what, made, want)
		}
	}
	mount := func(at string) {
		t.Helper()
		if err := unix.Mount("test", at, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	load("first", 1)
	mount(dir + "/shown-not")
	load("a mount beside", 1)
	mount(dir + "/shown/in/side")
	load("a mount below", 2)
	load("nothing", 2)
	if err := unix.Unmount(dir+"/shown/in/side", 0); err != nil {
		t.Fatal(err)
	}
	load("it is gone", 3)
}
