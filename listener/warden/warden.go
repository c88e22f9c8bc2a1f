package warden

import (
	"errors"
	"path/filepath"
	"sync"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/listener/loop"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// Config is what a Warden is told.
type Config struct {
	// Policy are policy files and directories of them, or one compiled document.
	Policy []string
	// Past is where documents are kept that ran, "" for nowhere.
	Past string
	// Digest is the only policy that is put into force, "" for any.
	Digest string
	// Trust is a file of keys, one of which must have signed the document; "" is any policy.
	Trust string
	// Inherited are sockets to be used where a policy names their address.
	Inherited listener.Inherited
	// LibexecDir holds casemate, casemate-worker and casemate-filter.
	LibexecDir string
	// Journal has the helpers prefix each line with its priority (sd-daemon(3)).
	Journal bool
	// Warn is told, on the loop, of what goes on in another way than it should.
	Warn func(topic, msg string, err error)
}

// Warden is casemated's hands. Its methods that block say so: those are called
// off the loop, and all others on it.
type Warden struct {
	conf   Config
	loop   *loop.Loop
	blocks *host.Blocks

	known     map[int]*child // all children, but those of starts in progress
	starting  int            // of these
	strange   map[int]bool   // children that the last look did not know
	orphans   loop.Timer     // for the second look
	compiling sync.Mutex     // of compiled
	compiled  compiled
	past      past
	box       *sandbox.Sandbox // the broker's; of StartBroker
}

// New makes a warden for the children of this process, which l waits for.
func New(c Config, l *loop.Loop, blocks *host.Blocks) *Warden {
	w := &Warden{conf: c, loop: l, blocks: blocks, known: make(map[int]*child), past: past{dir: c.Past}}
	w.orphans.Owner = loop.Func(w.Look)
	return w
}

// Open opens a socket, or takes it from what a service manager has opened.
func (w *Warden) Open(s listener.Spec) (*listener.Socket, error) { return w.conf.Inherited.Open(s) }

// Audit gives a socket that receives the kernel's audit records (audit_multicast, needs CAP_AUDIT_READ). Without it violations have no name.
func (w *Warden) Audit() (int, error) {
	const readLog = 1 // AUDIT_NLGRP_READLOG as a group mask
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: readLog}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// libexec is the path of one of our own programs.
func (w *Warden) libexec(name string) string { return filepath.Join(w.conf.LibexecDir, name) }

// lease takes a uid for a helper, off the loop.
func (w *Warden) lease() (uid uint32, err error) {
	ok := false
	if err = w.loop.Do(func() { uid, ok = w.blocks.Own() }); err == nil && !ok {
		err = errors.New("no uid is left to lease")
	}
	return uid, err
}
