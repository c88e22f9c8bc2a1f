package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe"
	"casemate/sandbox/learn/scratch"

	"golang.org/x/sys/unix"
)

// site is a scratch broker in which profiles are tried, with the clients that try them.
type site struct {
	a       *app // asks its broker
	dir     string
	bin     string // of casemated and what belongs to it
	network string // tcp or udp
	port    string
	block   string          // the service's attributes, as HCL
	service *policy.Service // in their place, of a running broker
	clients []string
	broker  *scratch.Process
	limit   time.Duration // for one client
	doc     *policy.Document
	normal  []int    // exit statuses of the program beside 0 that are no error
	leftOut []string // of real sessions, for the profile's head
	lock    *os.File // on dir, for as long as this process lives
}

// name of the service and the profile in a scratch broker.
const learnt = "learnt"

const (
	firstLimit = 60 * time.Second // for a client that nobody has seen yet
	readyLimit = 30 * time.Second
	settle     = 3 * time.Second // for sessions to end by themselves after their client
)

// newSite makes the folder of a site and finds a port for it.
func newSite(a *app, network string, clients []string) (*site, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	s := &site{bin: filepath.Dir(exe), clients: clients, limit: firstLimit, network: network}
	if _, err := os.Stat(filepath.Join(s.bin, "casemated")); err != nil {
		return nil, fmt.Errorf("learn: casemated is looked for beside casemate: %w", err)
	}
	if s.port, err = freePort(network); err != nil {
		return nil, fmt.Errorf("learn: find a free port: %w", err)
	}
	sweep()
	if s.dir, err = os.MkdirTemp("", siteName); err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	if s.lock, err = locked(s.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("learn: %w", err), os.RemoveAll(s.dir))
	}
	inner := *a
	inner.control, inner.format = filepath.Join(s.dir, "control.sock"), "text"
	s.a = &inner
	return s, nil
}

// siteName is how the names of scratch folders begin, and stale how old one is that nobody locks any more.
const (
	siteName = "casemate-learn-"
	stale    = time.Minute
)

// sweep removes the folders of learns that were killed, which could not do it themselves.
func sweep() {
	list, _ := filepath.Glob(filepath.Join(os.TempDir(), siteName+"*"))
	for _, dir := range list {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < stale {
			continue // or it is one that is not locked yet
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		if f, err := locked(dir); err == nil {
			_ = os.RemoveAll(dir) // what is left of it is the next one's
			f.Close()
		}
	}
}

// locked locks a folder, with the file that it is given, unless another process has it.
func locked(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// freePort is a loopback port that is free now for the network.
func freePort(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		defer c.Close()
		_, port, err := net.SplitHostPort(c.LocalAddr().String())
		return port, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// close ends the broker and removes the folder.
func (s *site) close() {
	if s.broker != nil {
		s.broker.Stop(10 * time.Second)
	}
	_ = os.RemoveAll(s.dir) // what is left of a scratch folder is nobody's loss
	s.lock.Close()
}

// head is the policy around the profile and the service.
const head = `policy { edition = 1 }

acl "client" {
  allow { from = ["127.0.0.0/8"] }
}

limit "client" {
  concurrent = 200
  rate       = "100000/s"
  burst      = 100000
}
`

// load puts a profile into force: of the broker that runs, or of a new one.
func (s *site) load(profile string) error {
	if s.network == "udp" { // what nobody has read waits in the socket of before
		var err error
		if s.port, err = freePort(s.network); err != nil {
			return fmt.Errorf("learn: find a free port: %w", err)
		}
	}
	doc, err := profileDocument(profile, fmt.Sprintf("  listen = [\"%s4://127.0.0.1:%s\"]\n%s", s.network, s.port, s.block))
	if err != nil {
		return err
	}
	if s.service != nil {
		if err := s.replace(doc); err != nil {
			return err
		}
	}
	b, err := canon.EncodeDocument(doc)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "policy.json"), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	s.doc = doc
	if s.broker == nil {
		return s.start()
	}
	if _, err = s.a.ask(control.Request{Verb: control.VerbReload}); err != nil {
		return err
	}
	return s.serves()
}

// profileDocument compiles a profile with a service of some attributes under it.
func profileDocument(profile, attributes string) (*policy.Document, error) {
	if !strings.Contains(attributes, "listen = ") {
		attributes = "  listen = [\"tcp://127.0.0.1:7\"]\n" + attributes
	}
	text := head + profile + fmt.Sprintf("\nservice %q {\n%s  profile = profile.%s\n  linger = \"1m\"\n}\n", learnt, attributes, learnt)
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "learnt.cm.hcl", Data: []byte(text)}})
	if doc != nil {
		return doc, nil
	}
	var said []string
	for _, d := range ds {
		if d.Severity == policy.SeverityError {
			said = append(said, strings.TrimSpace(d.Summary+": "+d.Detail))
		}
	}
	return nil, fmt.Errorf("learn: casemate takes the draft for no profile: %s", strings.Join(said, "; "))
}

// replace puts a running broker's service into the document, on the scratch broker's port.
func (s *site) replace(doc *policy.Document) error {
	at := &doc.Policy.Services[0]
	of := *s.service
	if apart(&of) {
		of.Stdio = sandbox.StdioRelay
	}
	of.Name, of.Listen, of.ACL, of.Limit, of.Profile = at.Name, at.Listen, at.ACL, at.Limit, at.Profile
	of.Socket, of.Linger, of.Because = at.Socket, at.Linger, "learnt as it runs"
	*at = of
	b, err := canon.Encode(doc.Policy)
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	doc.Digest = granted.Digest(b)
	return nil
}

func (s *site) start() error {
	p, err := scratch.Start([]string{filepath.Join(s.bin, "casemated"), filepath.Join(s.dir, "policy.json"), "--control", s.a.control,
		"--log", filepath.Join(s.dir, "log"), "--libexec", s.bin}, os.Environ(), "/")
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	end := time.Now().Add(readyLimit)
	for {
		select {
		case <-p.Done():
			return fmt.Errorf("learn: the scratch broker ended: %s", strings.TrimSpace(p.Stderr()))
		case <-time.After(20 * time.Millisecond):
		}
		if c, err := net.Dial("unix", s.a.control); err == nil {
			c.Close()
			if s.broker = p; s.serves() == nil {
				return nil
			}
		}
		if time.Now().After(end) {
			p.Stop(time.Second)
			return errors.Join(fmt.Errorf("learn: the scratch broker does not serve after %s: %s", readyLimit, p.Stderr()), s.serves())
		}
	}
}

// serves fails while the service is not served. It waits while its listener rests, as
// after programs that ended at once.
func (s *site) serves() error {
	for end := time.Now().Add(readyLimit); ; {
		st, err := s.status()
		switch {
		case err != nil:
			return err
		case st.Broken:
			return fmt.Errorf("learn: %s", st.Error)
		case len(st.Listeners) > 0 && st.Listeners[0].State == "listening":
			return nil
		case time.Now().After(end):
			return fmt.Errorf("learn: its listener is %s after %s: %s", st.Listeners[0].State, readyLimit, st.Error)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *site) status() (*control.ServiceStatus, error) {
	resp, err := s.a.ask(control.Request{Verb: control.VerbStatus, Service: learnt})
	if err != nil {
		return nil, err
	}
	if len(resp.Status.Services) == 0 {
		return nil, errors.New("learn: the scratch broker has no policy yet")
	}
	return &resp.Status.Services[0], nil
}

// confines are those of the profile in force.
func (s *site) confines() (*learn.Confines, error) {
	return confines(s.doc, s.doc.Policy.Service(learnt))
}

// outcome is how the clients fared once.
type outcome struct {
	Clients  []clientOutcome
	sessions []*learn.Session
	faulty   string // how a session of the program ended with an error, "" where none did
}

type clientOutcome struct {
	Status int // of exit; -1 if it was ended for its time
	out    string
	said   string // the end of its standard error
	took   time.Duration
}

// run runs the clients once, and follows the service's sessions if it is asked to.
func (s *site) run(ctx context.Context, followed bool) (*outcome, error) {
	o := new(outcome)
	from, err := s.mark()
	if err != nil {
		return nil, err
	}
	var t *observe.Tracer
	if followed {
		if t, err = observe.Start(); err != nil {
			return nil, err
		}
		defer t.Stop()
		if err := s.a.keepFollowed(ctx, t, s.doc.Policy.Service(learnt), true); err != nil {
			return nil, err
		}
	}
	for _, command := range s.clients {
		c, err := s.client(ctx, command)
		if err != nil {
			return nil, err
		}
		o.Clients = append(o.Clients, *c)
		if ctx.Err() != nil {
			return nil, errors.New("learn: interrupted")
		}
	}
	if err := s.end(t); err != nil {
		return nil, err
	}
	if t != nil {
		left := t.Stop()
		o.sessions = append(t.Take(), left...)
	}
	if !s.doc.Policy.Service(learnt).Wait { // whose program runs until it is ended
		o.faulty, err = s.faulty(from)
	}
	return o, err
}

// client runs one client command.
func (s *site) client(ctx context.Context, command string) (*clientOutcome, error) {
	dir, err := os.MkdirTemp(s.dir, "client-")
	if err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	p, err := scratch.Shell(command, append(os.Environ(), "HOST=127.0.0.1", "PORT="+s.port, "SCRATCH="+dir), "")
	if err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	defer context.AfterFunc(ctx, p.Kill)()
	c := &clientOutcome{Status: p.Wait(s.limit), out: p.Stdout(), said: p.Stderr()}
	c.took = time.Since(began)
	return c, nil
}

// end waits until no session is left, and ends those that stay.
func (s *site) end(t *observe.Tracer) error {
	wait := s.doc.Policy.Service(learnt).Wait
	for end, asked := time.Now().Add(settle), false; ; {
		st, err := s.status()
		if err != nil {
			return err
		}
		if st.Live == 0 && (t == nil || t.Live() == 0) {
			return nil
		}
		if late := time.Now().After(end); (late || wait) && !asked {
			asked = true
			if _, err := s.a.ask(control.Request{Verb: control.VerbKill, Service: learnt, Now: true}); err != nil {
				return err
			}
		} else if late && time.Now().After(end.Add(settle)) {
			return errors.New("learn: a session does not end")
		} else if wait && asked {
			return nil // the next one, which what nobody has read brings about, is no matter
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// differs says how the clients of an outcome fared otherwise than those of want, or else how
// a session of the program failed whose client did not mind; "" if neither did. same tells of which clients the output is always the same.
func (o *outcome) differs(want *outcome, same []bool) string {
	for i, c := range o.Clients {
		switch w := want.Clients[i]; {
		case c.Status == -1:
			return fmt.Sprintf("client %d waits without end", i+1)
		case c.Status != w.Status:
			text := fmt.Sprintf("client %d exits with status %d", i+1, c.Status)
			if said := lastLine(c.said); said != "" {
				text += fmt.Sprintf(" (%s)", said)
			}
			return text
		case same[i] && c.out != w.out:
			return fmt.Sprintf("client %d gets another answer", i+1)
		}
	}
	return o.faulty
}

// served tells whether every client exited with 0.
func (o *outcome) served() bool {
	return !slices.ContainsFunc(o.Clients, func(c clientOutcome) bool { return c.Status != 0 })
}

// failing says which client failed, "" if none did.
func (o *outcome) failing() string {
	want := &outcome{Clients: make([]clientOutcome, len(o.Clients))}
	return o.differs(want, make([]bool, len(o.Clients)))
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if len(last) > 100 {
		last = last[:100] + "..."
	}
	return oneLine(last)
}
