package broker

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/policy"
	"casemate/sandbox/panics"
	"casemate/sandbox/zygote"
)

// Config is what casemated's command line decides.
type Config struct {
	// Policy are policy files and directories of them, or one compiled document.
	Policy []string
	// Digest is the only policy that is put into force, "" for any.
	Digest string
	// ControlPath is the control socket; a lock file lies beside it.
	ControlPath string
	// Operators is the group whose members may read through it, "" for root alone.
	Operators string
	// LibexecDir holds casemate, casemate-worker and casemate-filter.
	LibexecDir string
	// LeaseDir is shared by all brokers of the host; "" is host.DefaultLeaseDir.
	LeaseDir string
	// Inherited are sockets to be used where a policy names their address.
	Inherited listener.Inherited
	// Log receives one JSON object per line.
	Log io.Writer
	// LogPath is where that lies, for status; "" is stderr.
	LogPath string
	// OpenLog opens what is to be the log from the next load on; nil if Log stays.
	OpenLog func() (*os.File, error)
	// Journal prefixes each line with its priority (sd-daemon(3)).
	Journal bool
	// Tell takes the broker's state as a service manager wants it (sd_notify(3)), nil
	// for none. It must not wait.
	Tell func(state string)
	// Version is what status and the first record show.
	Version string
}

// Broker runs the services of one policy. New makes it, Run runs it, and the
// other methods are for other goroutines.
type Broker struct {
	conf    Config
	loop    *loop.Loop
	log     *journal.Writer
	started time.Time
	control *control

	// The rest belongs to the loop.
	gen       *generation
	sockets   map[string]*listening
	tallies   map[string]*tally
	runners   map[*runner]bool // of the current generation, and older ones in use
	sessions  map[int32]*session
	corpses   map[int]*corpse
	helpers   map[int]bool // pids of zygotes and workers
	names     *names
	logWorker *logWorker
	denials   *denials
	relays    *relays
	leases    *host.Leases
	orphans   loop.Timer // for the second look at strangers
	strange   map[int]bool
	checks    loop.Timer
	told      string // to the service manager
	exhausted loop.Timer
	said      map[string]int64 // limitedNote: when a topic may be logged again
	// The host's load of a minute as it was read last, and when.
	hostLoad  float64
	loadRead  int64
	lastID    uint64
	maxFiles  int // RLIMIT_NOFILE
	starting  int // starts in progress on other goroutines
	parting   int // farewells
	stopping  bool
	leaves    bool       // sessions to themselves, when it stops
	closing   bool       // nothing is left but the log worker's last lines
	stopTimer loop.Timer // for children that not even SIGKILL has ended (a system call holds them; they die when that returns)
	// lastReload is the error of the newest load, for status.
	lastReload   string
	reloadFailed time.Time

	// load serialises loads; compile is replaced in tests.
	load     sync.RWMutex            // read by who prepares services anew
	next     atomic.Pointer[loading] // has not begun: others may still join it
	reopens  bool                    // under load: the next load opens the log again
	spares   sync.Once               // spareThreads
	compiled compiled                // under load: the policy in force
	compile  func(paths []string) (*policy.Document, []policy.Diagnostic, error)
	cells    func(job) (cell, error)
	ready    func(...*job) error // before their cells are made
}

func init() { listener.Undertake = zygote.Undertake }

// New prepares a broker and takes the control socket, so that two of them
// cannot run on one. Nothing is served before Load.
func New(c Config) (*Broker, error) {
	l, err := loop.New()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		conf: c, loop: l, started: time.Now(),
		sockets: make(map[string]*listening), tallies: make(map[string]*tally), runners: make(map[*runner]bool),
		sessions: make(map[int32]*session), corpses: make(map[int]*corpse), helpers: make(map[int]bool),
		said: make(map[string]int64), leases: host.NewLeases(cmp.Or(c.LeaseDir, host.DefaultLeaseDir)),
	}
	// Ids are unique across restarts, as long as fewer than a million
	// connections a second come; they stay below 2^53, which JSON readers keep exact.
	b.lastID = uint64(b.started.Unix()) << 20
	b.readFileLimit()
	b.compile, b.cells, b.ready = b.compileApart, b.prepare, b.plan
	b.names, b.logWorker, b.denials, b.relays = newNames(b), newLogWorker(b), newDenials(b), newRelays(b)
	if b.control, err = openControl(b, c.ControlPath, c.Operators); err != nil {
		return nil, err
	}
	b.log = journal.New(c.Log, c.Journal)
	if err := b.openLeases(); err != nil {
		b.control.close()
		return nil, err
	}
	flush := &loop.Timer{Owner: loop.Func(b.log.Flush)}
	l.Idle = func() {
		if b.log.Pending() && !flush.Armed() {
			l.After(flush, flushAfter)
		}
	}
	l.Failed = b.Bug
	b.exhausted.Owner, b.orphans.Owner, b.checks.Owner = loop.Func(b.syncAll), loop.Func(b.endOrphans), loop.Func(b.check)
	b.stopTimer.Owner = loop.Func(b.stopped)
	return b, nil
}

// Bug logs the panic that err tells of, if it does.
func (b *Broker) Bug(err error) {
	var p *panics.Error
	if errors.As(err, &p) {
		b.log.Now(journal.Bug(err))
	}
}

// apart runs f on another goroutine, and there done with its error, which may be a panic.
func (b *Broker) apart(f func() error, done func(error)) {
	panics.Go(f, func(err error) {
		b.Bug(err)
		done(err)
	})
}

// openLeases makes the leased uids ours to hand out. It comes after the control
// socket: a second broker on one must not look after the first one's sessions.
func (b *Broker) openLeases() error {
	ended, left, err := b.leases.Open()
	if err != nil {
		return fmt.Errorf("lease uids: %w", err)
	}
	if ended+left > 0 {
		b.log.Now(b.note(slog.LevelWarn, "survivors of an earlier broker", slog.Int("ended", ended), slog.Int("left", left)))
	}
	return nil
}

// Run serves until Stop; it returns when everything that had to end has ended.
func (b *Broker) Run() error {
	b.log.Now(b.note(slog.LevelInfo, "start", slog.String("version", b.conf.Version), slog.Int("os_pid", os.Getpid()), slog.String("policy", strings.Join(b.conf.Policy, " "))))
	if err := b.control.watch(); err != nil {
		return err
	}
	err := b.loop.Run()
	b.control.close()
	b.log.Flush()
	b.Log("stopped", "")
	b.log.Close(time.Second)
	return err
}

// syncListeners puts the listeners of all services that use r into the poll
// set or takes them out.
func (b *Broker) syncListeners(r *runner) {
	if b.gen == nil {
		return
	}
	for _, s := range b.gen.services {
		if s.run == r {
			for _, at := range cmp.Or(s.of, s).listen {
				at.sync()
			}
		}
	}
}

// exhaustedPause is how long all listeners rest when descriptors or memory ran out.
const exhaustedPause = 100 * time.Millisecond

// exhaust un-polls every listener for a moment when the process or the
// system has run out of something. Clients wait in the backlog meanwhile; the
// loop does not spin, and it recovers by itself.
func (b *Broker) exhaust(err error) {
	b.readFileLimit()
	b.limitedNote("", "exhausted", "out of resources, resting all listeners", err)
	b.loop.After(&b.exhausted, exhaustedPause)
	b.syncAll()
}

func (b *Broker) syncAll() {
	for _, at := range b.sockets {
		at.sync()
	}
	b.control.sync()
}

// dropSocket closes a socket that no generation wants any more.
func (b *Broker) dropSocket(at *listening) {
	at.svc = nil
	b.loop.Disarm(&at.pause)
	b.loop.Disarm(&at.retry)
	if at.holder != nil {
		at.sync() // a wait program still has it; free comes back here
		return
	}
	at.close()
	if b.sockets[at.spec.Key()] == at {
		delete(b.sockets, at.spec.Key())
	}
}

// libexec is the path of one of our own programs.
func (b *Broker) libexec(name string) string { return filepath.Join(b.conf.LibexecDir, name) }
