package broker

import (
	"log/slog"
	"net/netip"
	"syscall"
	"time"

	"casemate/listener"
)

// decision is the record of one connection admitted or refused.
type decision struct {
	at         time.Time
	id         uint64
	service    string
	client     listener.Peer
	local      netip.AddrPort
	path       string // of a unix socket, in place of local
	allowed    bool
	reason     string
	rule       string
	acl        string
	digest     string
	generation uint64
	pid        int
}

func (d *decision) log() slog.Record {
	r := slog.NewRecord(d.at, slog.LevelInfo, "decision", 0)
	verdict := "deny"
	if d.allowed {
		verdict = "allow"
	}
	r.AddAttrs(slog.Uint64("id", d.id), slog.String("service", d.service))
	r.AddAttrs(peerAttrs(d.client)...)
	if d.local.IsValid() {
		r.AddAttrs(slog.String("local", d.local.String()))
	} else if d.path != "" {
		r.AddAttrs(slog.String("local", d.path))
	}
	r.AddAttrs(slog.String("verdict", verdict), slog.String("reason", d.reason), slog.String("rule", d.rule),
		slog.String("acl", d.acl), slog.String("digest", d.digest), slog.Uint64("generation", d.generation))
	if d.pid > 0 {
		r.AddAttrs(slog.Int("pid", d.pid))
	}
	return r
}

// ending is the record of one session that is over, or that never began.
type ending struct {
	at      time.Time
	id      uint64
	service string
	client  listener.Peer
	pid     int
	uid     uint32
	reason  string
	detail  string // why a start failed
	ran     bool
	status  syscall.WaitStatus
	syscall string // "" = not known
	took    time.Duration
	user    time.Duration
	sys     time.Duration
	rss     int64 // KiB
	digest  string
}

func (e *ending) log() slog.Record {
	level := slog.LevelInfo
	if e.reason != reasonExit && e.reason != reasonKilled {
		level = slog.LevelWarn
	}
	r := slog.NewRecord(e.at, level, "session", 0)
	r.AddAttrs(slog.Uint64("id", e.id), slog.String("service", e.service))
	r.AddAttrs(peerAttrs(e.client)...)
	if e.pid > 0 {
		r.AddAttrs(slog.Int("pid", e.pid), slog.Uint64("uid", uint64(e.uid)))
	}
	if e.ran && e.status.Signaled() {
		r.AddAttrs(slog.String("signal", signalName(e.status.Signal())))
	} else if e.ran {
		r.AddAttrs(slog.Int("exit", e.status.ExitStatus()))
	}
	r.AddAttrs(slog.String("reason", e.reason))
	if e.detail != "" {
		r.AddAttrs(slog.String("detail", e.detail))
	}
	if e.syscall != "" {
		r.AddAttrs(slog.String("syscall", e.syscall))
	}
	if e.ran {
		r.AddAttrs(ms("duration_ms", e.took), ms("user_ms", e.user), ms("sys_ms", e.sys), slog.Int64("max_rss_kb", e.rss))
	}
	r.AddAttrs(slog.String("digest", e.digest))
	return r
}

// ms writes a duration in milliseconds, to the microsecond.
func ms(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1000)
}

// suppressed counts refusals that were not written one by one.
type suppressed struct {
	at      time.Time
	service string
	count   uint64
}

func (s suppressed) log() slog.Record {
	r := slog.NewRecord(s.at, slog.LevelWarn, "refused-suppressed", 0)
	r.AddAttrs(slog.String("service", s.service), slog.Uint64("count", s.count))
	return r
}

// peerAttrs are the client's part of a record.
func peerAttrs(p listener.Peer) []slog.Attr {
	switch {
	case p.Unix:
		return []slog.Attr{slog.String("client", "unix"), slog.Uint64("client_uid", uint64(p.UID))}
	case !p.Addr.IsValid():
		return nil
	case p.Name != "":
		return []slog.Attr{slog.String("client", p.Addr.Addr().String()), slog.Int("client_port", int(p.Addr.Port())), slog.String("name", p.Name)}
	}
	return []slog.Attr{slog.String("client", p.Addr.Addr().String()), slog.Int("client_port", int(p.Addr.Port()))}
}
