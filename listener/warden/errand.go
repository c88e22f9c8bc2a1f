package warden

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"casemate/listener"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/rootfs"

	"golang.org/x/sys/unix"
)

// Errand is a word of what the broker sends root for. Each is an Asked with an answer of the same
// ID. What has been made (sites, cells, sockets) is called by numbers that root gives.
type Errand string

// The errands, with what of Asked they take and what of Answer and descriptors they bring.
const (
	DoCompile     Errand = "compile"     // Digest or "" → Diagnostics, and Same or a file, a document
	DoPast        Errand = "past"        // → Past
	DoRecall      Errand = "recall"      // Digest → a file, as it is kept
	DoForget      Errand = "forget"      //
	DoForce       Errand = "force"       // Digest, Name and UID: that document is in force, by that Cause
	DoSite        Errand = "site"        // Digest → Number
	DoRead        Errand = "read"        // Number
	DoFind        Errand = "find"        // Number, Services → Found
	DoStamp       Errand = "stamp"       // Number, Services → Stamps
	DoLeaveSite   Errand = "leave site"  // Number
	DoPlan        Errand = "plan"        // Number, Services
	DoPrepare     Errand = "prepare"     // Number, Services → Cells, and their event files
	DoSpawn       Errand = "spawn"       // Number → PID, and the zygote's descriptors
	DoRetire      Errand = "retire"      // PID
	DoState       Errand = "state"       // Number, UID → a descriptor or none
	DoCloseCell   Errand = "close cell"  // Number
	DoHelperStamp Errand = "role"        // Name → Stamp
	DoHelper      Errand = "helper"      // Name → PID, Losses, Stamp, a descriptor
	DoAudit       Errand = "audit"       // → a descriptor
	DoLease       Errand = "lease"       // → Number, the first of a block
	DoLeft        Errand = "left"        // → Left
	DoLeave       Errand = "leave"       // sessions may outlive casemated
	DoLog         Errand = "log"         // → the log, opened again
	DoTell        Errand = "tell"        // Name: what the service manager is told
	DoOpen        Errand = "open"        // Specs → Opened, and their descriptors
	DoSibling     Errand = "sibling"     // Number, Spec → likewise
	DoReconfigure Errand = "reconfigure" // Number, Spec
	DoRestore     Errand = "restore"     // Number
	DoClose       Errand = "close"       // Number
	DoSpent       Errand = "spent"       // Number
	DoUndertake   Errand = "undertake"   // descriptors, to be closed
)

// Asked is an errand.
type Asked struct {
	ID       uint64
	Do       Errand
	Number   uint64
	Digest   string          `json:",omitempty"`
	Services []int           `json:",omitempty"` // places in granted.Policy.All
	Name     string          `json:",omitempty"`
	PID      int             `json:",omitempty"`
	UID      uint32          `json:",omitempty"`
	Spec     *listener.Spec  `json:",omitempty"`
	Specs    []listener.Spec `json:",omitempty"`
}

// Answer is what comes of it.
type Answer struct {
	ID          uint64
	Fault       *Fault          `json:",omitempty"`
	Number      uint64          `json:",omitempty"`
	Same        bool            `json:",omitempty"` // it is the document in force
	Diagnostics json.RawMessage `json:",omitempty"` // a list of policy.Diagnostic
	Found       []Finding       `json:",omitempty"`
	Stamps      []string        `json:",omitempty"`
	Cells       []Made          `json:",omitempty"`
	Opened      []Opening       `json:",omitempty"`
	Stamp       string          `json:",omitempty"`
	PID         int             `json:",omitempty"`
	Losses      []string        `json:",omitempty"`
	Has         []bool          `json:",omitempty"` // which of the descriptors there are
	Left        []Survivor      `json:",omitempty"`
	Past        []Kept          `json:",omitempty"`
}

// Survivor is a program whose broker has ended.
type Survivor struct {
	PID  int
	Text []byte
}

// Finding is one of a site, Made a cell, and Opening a socket, or why it is none.
type Finding struct {
	Found
	Fault *Fault `json:",omitempty"`
}

// Made is a cell.
type Made struct {
	Number     uint64
	Losses     []string `json:",omitempty"`
	Proof      string
	Log, State bool    // its sessions have a /dev/log, a state directory
	Inits      bool    // and end with their zygote
	Events     [2]bool // which of its event files there are
	Fault      *Fault  `json:",omitempty"`
}

// Opening is a socket.
type Opening struct {
	Number uint64
	Spec   listener.Spec
	Fault  *Fault `json:",omitempty"`
}

// Fault is an error on its way: what it says, and what somebody asks of it. Package far makes one of it again.
type Fault struct {
	Text  string
	Errno unix.Errno         `json:",omitempty"`
	Kind  string             `json:",omitempty"`
	Stack []byte             `json:",omitempty"`
	Entry *rootfs.EntryError `json:",omitempty"`
}

// Kinds are the errors that somebody tells from others.
var Kinds = map[string]error{"forged": ErrForged, "live": listener.ErrLive}

// NewFault is nil without an error.
func NewFault(err error) *Fault {
	if err == nil {
		return nil
	}
	f := &Fault{Text: err.Error()}
	_ = errors.As(err, &f.Errno)
	for kind, of := range Kinds {
		if errors.Is(err, of) {
			f.Kind = kind
		}
	}
	var bug *panics.Error
	_ = errors.As(err, &f.Entry)
	switch {
	case errors.As(err, &bug):
		f.Kind, f.Stack = "bug", bug.Stack
	case errors.As(err, new(*listener.SettingError)):
		f.Kind = "setting"
	case errors.As(err, new(*sandbox.ProgramError)):
		f.Kind = "program"
	}
	return f
}

const (
	// MaxErrand is the size of one message in bytes; what is longer lies in a file that comes along.
	MaxErrand = 64 << 10
	maxFile   = 160 << 20 // bytes of that
	maxAsked  = 1 << 20   // and of one that the broker sends, of which maxErrands are done at a time
)

// Send sends an Asked or an Answer over a SOCK_SEQPACKET socket, and waits for room.
func Send(fd int, m any, fds ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > MaxErrand {
		file, err := FileOf(text)
		if err != nil {
			return err
		}
		defer unix.Close(file)
		text, fds = nil, append([]int{file}, fds...)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	// A first byte, so that no message is empty.
	return os.NewSyscallError("sendmsg", unix.Sendmsg(fd, append([]byte{'m'}, text...), rights, nil, unix.MSG_NOSIGNAL))
}

// FileOf is a file of that text, for who is sent its descriptor.
func FileOf(text []byte) (int, error) {
	file, err := unix.MemfdCreate("errand", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for at := 0; at < len(text); {
		n, err := unix.Pwrite(file, text[at:], int64(at))
		if err != nil {
			unix.Close(file)
			return -1, os.NewSyscallError("pwrite", err)
		}
		at += n
	}
	return file, nil
}

// Receive waits for what Send sends, and takes it apart strictly. io.EOF is the other end's.
func Receive(fd int, buf []byte, m any) (fds []int, err error) {
	n, fds, err := listener.RecvRights(fd, buf)
	text := buf[:n]
	switch {
	case err != nil:
	case n == 0:
		err = io.EOF
	case n == 1 && len(fds) > 0:
		most := int64(maxFile)
		if _, asked := m.(*Asked); asked {
			most = maxAsked
		}
		text, err = Slurp(fds[0], most)
		unix.Close(fds[0])
		fds = fds[1:]
	default:
		text = text[1:]
	}
	if err == nil {
		err = granted.Unmarshal(text, m)
	}
	if err != nil {
		CloseAll(fds)
		return nil, err
	}
	return fds, nil
}

// Slurp reads a file that came along, of no more than most bytes. Who sent it may change it: it is read once.
func Slurp(fd int, most int64) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > most {
		return nil, fmt.Errorf("a file of %d bytes that is none of ours (%v)", st.Size, err)
	}
	text := make([]byte, st.Size)
	for at := 0; at < len(text); {
		n, err := unix.Pread(fd, text[at:], int64(at))
		if err != nil || n == 0 {
			return nil, fmt.Errorf("read a file that came along: %w", err)
		}
		at += n
	}
	return text, nil
}

// CloseAll closes what came along and nobody wants.
func CloseAll(fds []int) {
	for _, fd := range fds {
		listener.Bury(fd)
	}
}
