package journal

import (
	"log/slog"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"casemate/acl/decide"
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// Record is one line of the log, or some that are lines already. Who has
// something to tell makes it; the writer's goroutine turns it into text, so that
// formatting an address costs the broker's loop nothing.
type Record interface {
	encode(e *encoder)
}

// Decision is the record of one connection admitted or refused.
type Decision struct {
	At      time.Time
	ID      uint64
	Service string
	Client  inbound.Peer
	Network string // tcp, udp, unix, unixgram, unixpacket or vsock
	Local   netip.AddrPort
	Path    string // of a unix socket, in place of Local
	// Refused is why; "" = the client was admitted.
	Refused string
	// Rule is the place of the deciding rule in the policy, "default", or "none".
	Rule, RuleName, ACL string
	Digest              string
	Generation          uint64       // 0 = not known
	PID                 int          // 0 = none
	Source              netip.Prefix // what the limit counted the client in, where that refused
	Limit               any          // the service's limit block (limit.Spec), where rules did not refuse
}

// Bound is a limit that a session ran into.
type Bound struct {
	Of     string `json:"of"`               // its block, as "profile.git"; "host" is one that no policy sets
	Limit  string `json:"limit"`            // the attribute there, as "resources.tasks"
	Value  any    `json:"value,omitempty"`  // as a compiled policy has it
	Count  uint64 `json:"count"`            // how often
	Others int    `json:"others,omitempty"` // how many other sessions it may have been: a control group is its service's
}

func (d *Decision) encode(e *encoder) {
	r := slog.NewRecord(d.At, slog.LevelInfo, "decision", 0)
	r.AddAttrs(slog.Uint64("id", d.ID), slog.String("service", d.Service))
	addClient(&r, &d.Client)
	addText(&r, "network", d.Network)
	if d.Local.IsValid() {
		r.AddAttrs(slog.String("local", d.Local.String()))
	} else {
		addText(&r, "local", d.Path)
	}
	if d.Refused == "" {
		r.AddAttrs(slog.String("verdict", "allow"))
	} else {
		r.AddAttrs(slog.String("verdict", "deny"), slog.String("reason", d.Refused))
	}
	r.AddAttrs(slog.String("rule", d.Rule))
	addText(&r, "rule_name", d.RuleName)
	r.AddAttrs(slog.String("acl", d.ACL), slog.String("digest", d.Digest))
	if d.Source.IsValid() {
		r.AddAttrs(slog.String("source", d.Source.String()))
	}
	if d.Limit != nil {
		r.AddAttrs(slog.Any("limit", d.Limit))
	}
	addNumber(&r, "generation", int64(d.Generation))
	addNumber(&r, "pid", int64(d.PID))
	e.line(r)
}

// How a session ends.
const (
	Exit      = "exit"         // it ended by itself
	Killed    = "killed"       // ended by a signal of ours, or a polite one of somebody's
	Timeout   = "timeout"      // it outlived its session limit
	Hangup    = "hangup"       // its client had gone
	Idle      = "idle"         // its client and it were silent for too long
	Silent    = "silent"       // its client had not sent a first byte in time
	Slow      = "slow"         // its client sent or took less than its limit's min_rate
	Violation = "violation"    // its seccomp filter killed it
	Memory    = "memory"       // the kernel killed it for want of memory
	Crash     = "crash"        // ended by any other signal
	Failed    = "start-failed" // it never ran
	Stalled   = "stalled"      // a built-in's client took nothing for too long
	Reset     = "reset"        // a built-in's client broke the connection
)

// Outstayed are the ends of sessions whose clients stayed for too long.
var Outstayed = []string{Timeout, Idle, Silent, Slow}

// Session is the record of one session that is over, or that never began.
type Session struct {
	At      time.Time
	ID      uint64
	Service string
	Client  inbound.Peer
	PID     int // 0 = it had no process of its own
	UID     uint32
	Reason  string
	Detail  string // why a start failed, or what else ended it
	// Status and what it used belong to one that ran as a process.
	Ran       bool
	Status    syscall.WaitStatus
	Took      time.Duration
	User, Sys time.Duration
	MaxRSS    int64 // KiB
	Limits    []Bound
	// In and Out are the bytes that its client sent and was sent, if Heard.
	In, Out uint64
	Heard   bool
	Digest  string
}

func (s *Session) encode(e *encoder) {
	level := slog.LevelInfo
	if s.Reason != Exit && s.Reason != Killed {
		level = slog.LevelWarn
	}
	r := slog.NewRecord(s.At, level, "session", 0)
	r.AddAttrs(slog.Uint64("id", s.ID), slog.String("service", s.Service))
	addClient(&r, &s.Client)
	if s.PID > 0 {
		r.AddAttrs(slog.Int("pid", s.PID), slog.Uint64("uid", uint64(s.UID)))
	}
	if s.Ran && s.Status.Signaled() {
		r.AddAttrs(slog.String("signal", SignalName(s.Status.Signal())))
	} else if s.Ran {
		r.AddAttrs(slog.Int("exit", s.Status.ExitStatus()))
	}
	r.AddAttrs(slog.String("reason", s.Reason))
	addText(&r, "detail", s.Detail)
	if len(s.Limits) > 0 {
		r.AddAttrs(slog.Any("limits", s.Limits))
	}
	if s.Reason != Failed {
		r.AddAttrs(ms("duration_ms", s.Took))
	}
	if s.Ran {
		r.AddAttrs(ms("user_ms", s.User), ms("sys_ms", s.Sys), slog.Int64("max_rss_kb", s.MaxRSS))
	}
	if s.Heard {
		r.AddAttrs(slog.Uint64("bytes_in", s.In), slog.Uint64("bytes_out", s.Out))
	}
	r.AddAttrs(slog.String("digest", s.Digest))
	e.line(r)
}

// What Suppressed counts.
const (
	Refusals    = "refused-suppressed"
	StderrLines = "stderr-suppressed"
	StderrBytes = "stderr-lost"
	StdoutLines = "stdout-suppressed"
	StdoutBytes = "stdout-lost"
	SyslogLines = "syslog-suppressed"
	SyslogLost  = "syslog-lost"
	LogLines    = "log-dropped" // that the log could not take, of everybody
)

// Suppressed counts what is missing of one service: records that were not written
// one by one, or the bytes of a stderr or stdout and the messages of a /dev/log that the log worker did not
// read. Lines of the log itself are nobody's.
type Suppressed struct {
	At      time.Time
	What    string
	Service string
	Count   uint64
}

func (s *Suppressed) encode(e *encoder) {
	r := slog.NewRecord(s.At, slog.LevelWarn, s.What, 0)
	addText(&r, "service", s.Service)
	r.AddAttrs(slog.Uint64("count", s.Count))
	e.line(r)
}

// addClient adds the client's part of a record: nothing for nobody in particular.
func addClient(r *slog.Record, p *inbound.Peer) {
	switch {
	case p.Unix:
		r.AddAttrs(slog.String("client", "unix"), slog.Uint64("client_uid", uint64(p.UID)))
	case p.VM:
		r.AddAttrs(slog.String("client", "vsock"), slog.Uint64("client_cid", uint64(p.CID)), slog.Uint64("client_port", uint64(p.Port)))
	case p.Addr.IsValid():
		r.AddAttrs(slog.String("client", p.Addr.Addr().String()), slog.Int("client_port", int(p.Addr.Port())))
		addText(r, "client_name", p.Name)
	}
}

func addText(r *slog.Record, key, text string) {
	if text != "" {
		r.AddAttrs(slog.String(key, text))
	}
}

func addNumber(r *slog.Record, key string, n int64) {
	if n != 0 {
		r.AddAttrs(slog.Int64(key, n))
	}
}

// ms writes a duration in milliseconds, to the microsecond.
func ms(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1000)
}

// SignalName is the name of signal(7), or the number when it has none.
func SignalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return strconv.Itoa(int(s))
}

// Origins are the places of a list's rules ("file:line:column"), for records.
type Origins []string

// Text tells in a record which rule decided, as decide.Decision numbers them: its
// place, "default", or "none" where there is no list or no address.
func (o Origins) Text(rule int) string {
	switch {
	case rule == decide.RuleDefault:
		return "default"
	case rule < 0:
		return "none"
	case rule < len(o):
		return o[rule]
	}
	return "rule " + strconv.Itoa(rule)
}
