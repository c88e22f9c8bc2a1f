package broker

import (
	"cmp"
	"container/list"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox/panics"
)

// Config is what a broker is told by who starts it.
type Config struct {
	// Hands makes what takes root's rights; it is told the loop, and whom to warn of what goes
	// on in another way than it should.
	Hands func(l *loop.Loop, warn func(topic, msg string, err error)) hands.Hands
	// Door is where root and operators ask.
	Door *warden.Door
	// Passed are the keys of the sockets that a service manager passed on.
	Passed []string
	// Log receives one JSON object per line.
	Log io.Writer
	// OpenLog opens what is to be the log from the next load on; nil if Log stays.
	OpenLog func() (*os.File, error)
	// Tell takes the broker's state as a service manager wants it (sd_notify(3)), nil
	// for none. It must not wait.
	Tell func(state string)
	// Said keeps what operators have said, for the broker that follows; nil keeps nothing.
	Said *os.File
	// LoadAvg is /proc/loadavg, and Null /dev/null, to write.
	LoadAvg, Null *os.File
	warden.About
}

// Broker runs the services of one policy. New makes it, Run runs it, and the
// other methods are for other goroutines.
type Broker struct {
	conf    Config
	loop    *loop.Loop
	log     *journal.Writer
	started time.Time
	door    *door

	// The rest belongs to the loop.
	gen       *generation
	sockets   map[string]*listening
	tallies   map[string]*tally
	runners   map[*runner]bool   // of the current generation, and older ones in use
	sessions  map[int32]*session // by key
	bare      int32              // the last key that is no pid
	names     *names
	logWorker *logWorker
	denials   *denials
	relays    *relays
	shields   *shields
	bans      *bans
	checks    loop.Timer
	told      string // to the service manager
	exhausted loop.Timer
	said      map[string]int64 // limitedNote: when a topic may be logged again
	// The host's load of a minute as it was read last, and when.
	hostLoad  float64
	loadRead  int64
	lastID    uint64
	maxFiles  int       // RLIMIT_NOFILE
	partings  list.List // of farewells, the oldest first
	stopping  bool
	leaves    bool       // sessions to themselves, when it stops
	closing   bool       // nothing is left but the log worker's last lines
	stopTimer loop.Timer // for children that not even SIGKILL has ended (a system call holds them; they die when that returns)
	// lastReload is the error of the newest load, for status.
	lastReload   string
	reloadFailed time.Time
	// past is what ran, the newest in force; unkept is why that is not written down.
	past   []control.Run
	unkept error

	// load serialises loads; compile is replaced in tests.
	load    sync.RWMutex            // read by who prepares services anew
	next    atomic.Pointer[loading] // has not begun: others may still join it
	reopens bool                    // under load: the next load opens the log again
	spares  sync.Once               // panics.SpareThreads
	// What takes root's rights. Tests have other compilers and cells.
	hands   hands.Hands
	compile func(ran string) (*policy.Document, []policy.Diagnostic, error)
	plan    func(...*warden.Job) error
	cells   func(*warden.Job) (hands.Cell, error)
}

// New prepares a broker. Nothing is served before Load.
func New(c Config) (*Broker, error) {
	l, err := loop.New()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		conf: c, loop: l, started: time.Now(),
		sockets: make(map[string]*listening), tallies: make(map[string]*tally), runners: make(map[*runner]bool),
		sessions: make(map[int32]*session), said: make(map[string]int64),
	}
	b.hands = c.Hands(l, func(topic, msg string, err error) { b.limitedNote("", topic, msg, err) })
	b.lastID = firstID(b.started)
	b.maxFiles = warden.FileLimit()
	b.compile, b.plan, b.cells = b.hands.Compile, b.hands.Plan, b.hands.Prepare
	b.names, b.logWorker, b.denials, b.relays, b.shields = newNames(b), newLogWorker(b), newDenials(b), newRelays(b), newShields(b)
	b.bans = newBans(b)
	b.door = newDoor(b, c.Door)
	b.log = journal.New(c.Log, c.Journal)
	flush := &loop.Timer{Owner: loop.Func(b.log.Flush)}
	l.Idle = func() {
		if b.log.Pending() && !flush.Armed() {
			l.After(flush, flushAfter)
		}
	}
	l.Failed = b.Bug
	b.exhausted.Owner, b.checks.Owner = loop.Func(b.syncAll), loop.Func(b.check)
	b.stopTimer.Owner = loop.Func(b.stopped)
	return b, l.Post(b.bans.resume)
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

// Run serves until Stop; it returns when everything that had to end has ended.
func (b *Broker) Run() error {
	b.log.Now(b.note(slog.LevelInfo, "start", slog.String("version", b.conf.Version), slog.Int("os_pid", b.conf.PID), slog.String("policy", strings.Join(b.conf.Policy, " "))))
	if err := b.door.watch(); err != nil {
		return err
	}
	err := b.loop.Run()
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
	b.maxFiles = warden.FileLimit()
	b.limitedNote("", "exhausted", "out of resources, resting all listeners", err)
	b.loop.After(&b.exhausted, exhaustedPause)
	b.syncAll()
}

func (b *Broker) syncAll() {
	for _, at := range b.sockets {
		at.sync()
	}
	b.door.sync()
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

// firstID is where a broker that starts then begins to number what it decides about: above all that one before it can have come
// to, a million a second, also within the same second, and in what JSON's readers take for whole numbers (2^53).
func firstID(started time.Time) uint64 {
	return uint64(started.Unix())<<20 + uint64(started.Nanosecond())<<20/1e9
}
