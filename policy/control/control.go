// Package control is what casemated and casemate say to each other over the control socket: one
// line of JSON each way. The broker answers; root has no part in it.
package control

import (
	"net/netip"
	"time"

	"casemate/acl/ban"
	"casemate/policy"
)

// Format is the format_version of the control socket's messages.
const Format = 1

// The verbs of a Request.
const (
	VerbStatus   = "status"
	VerbReload   = "reload"
	VerbDocument = "document"
	VerbKill     = "kill"
	VerbHistory  = "history"
	VerbRollback = "rollback"
	VerbBan      = "ban"
	VerbUnban    = "unban"
	VerbBans     = "bans"
	VerbDrain    = "drain"
	VerbUndrain  = "undrain"
)

// How a policy came into force: the word of a Run.
const (
	HowStart    = "start"  // of casemated
	HowReload   = "reload" // casemate reload
	HowSignal   = "signal" // HUP
	HowRollback = "rollback"
)

// Request is the one JSON line a client of the control socket sends.
// Service narrows VerbStatus to one service, Now starts its zygote or keeps it for another linger, and with Written the log has
// what there is to say of programs that have ended before it is answered; with VerbDocument,
// Service and the client ask for Live too: an address, or without one the uid of a unix client. VerbKill is for all sessions of
// Service, or for those of the ids in Sessions; with Now they get no time to end by themselves. VerbRollback loads the
// document of Digest, one that ran before, and VerbDocument sends that in place of the one in force.
// VerbBan shuts Prefix out of Services (none is all of them) for For (0 is until VerbUnban), with Ends the sessions that are there as well;
// VerbUnban takes that back, and VerbBans lists all. VerbDrain has Service take no new clients until VerbUndrain.
// With Ends, VerbReload and VerbRollback end sessions whose client the policy does not admit.
// With IfDigest, VerbReload puts no other policy into force; with IfRunning, it and VerbRollback do nothing unless that one is.
type Request struct {
	FormatVersion int        `json:"format_version"`
	Verb          string     `json:"verb"`
	Service       string     `json:"service,omitempty"`
	Client        netip.Addr `json:"client,omitzero"`
	UID           uint32     `json:"uid,omitempty"`
	CID           uint32     `json:"cid,omitempty"` // of a vsock's
	Sessions      []uint64   `json:"sessions,omitempty"`
	Now           bool       `json:"now,omitempty"`
	Written       bool       `json:"written,omitempty"`
	Digest        string     `json:"digest,omitempty"`
	IfDigest      string     `json:"if_digest,omitempty"`
	IfRunning     string     `json:"if_running,omitempty"`

	Prefix   netip.Prefix  `json:"prefix,omitzero"`
	Services []string      `json:"services,omitempty"`
	For      time.Duration `json:"for_ns,omitempty"`
	Ends     bool          `json:"ends,omitempty"`
}

// Reads tells whether a request changes nothing.
func (q Request) Reads() bool {
	return q.Verb == VerbDocument || q.Verb == VerbHistory || q.Verb == VerbBans || q.Verb == VerbStatus && !q.Now
}

// Response is the JSON line casemated answers with before it closes. OK
// false comes with Error, and with Diagnostics where the policy is at fault. To
// VerbDocument a second line follows: the Document in force, in its canonical bytes.
type Response struct {
	FormatVersion int                 `json:"format_version"`
	OK            bool                `json:"ok"`
	Error         string              `json:"error,omitempty"`
	Digest        string              `json:"digest,omitempty"` // of the policy in force after the request
	Diagnostics   []policy.Diagnostic `json:"diagnostics,omitempty"`
	Status        *Status             `json:"status,omitempty"`
	Live          *Live               `json:"live,omitempty"`
	// Sessions are those of VerbKill that had not ended when it came, and those that VerbBan or a load ends.
	Sessions []SessionStatus `json:"sessions,omitempty"`
	// Unmet is the condition of the request that does not hold, by its JSON name: nothing was changed.
	Unmet string `json:"unmet,omitempty"`
	// Replaced is the digest of the policy that was in force before a load, EndedRollback whether that was rolled back to.
	Replaced      string `json:"replaced,omitempty"`
	EndedRollback bool   `json:"ended_rollback,omitempty"`
	// Unkept is why the history does not have a policy that was loaded all the same, or why bans end with the broker.
	Unkept string `json:"unkept,omitempty"`
	Runs   []Run  `json:"runs,omitempty"` // of VerbHistory, the oldest first
	// Bans and Drains are all, of VerbBans; those that VerbBan has set, VerbUnban or VerbUndrain has taken back.
	Bans   []ban.Ban   `json:"bans,omitempty"`
	Drains []ban.Drain `json:"drains,omitempty"`
	// Still are bans that shut the source of VerbUnban out after it, and Unheld the services that no ban holds for, since their
	// programs take their clients themselves.
	Still  []ban.Ban `json:"still,omitempty"`
	Unheld []string  `json:"unheld,omitempty"`
}

// Run is a time that a policy was in force, over the ends of brokers, and of casemateds that were started again with it.
type Run struct {
	Number int       `json:"number"` // never given twice
	Digest string    `json:"digest"`
	Began  time.Time `json:"began"`
	// Ended is nothing while it runs. Of a casemated that was killed it is when that was known to serve last.
	Ended    time.Time `json:"ended,omitzero"`
	How      string    `json:"how"`
	UID      *uint32   `json:"uid,omitempty"` // who has asked for it, nobody at a start and of a signal
	Services int       `json:"services"`
	Bytes    int64     `json:"bytes"` // of its document
}

// Live is what a running broker knows of one service and one client beside its policy.
type Live struct {
	ServiceStatus
	// Refusal is the limit that would refuse the client now ("penalty", "rate",
	// ...), or the operator's word (ban.ReasonBan, ban.ReasonDrain), "" is none. Retry is when it would not any more if nobody else came;
	// 0 where that waits for a session to end.
	Refusal string        `json:"refusal,omitempty"`
	Retry   time.Duration `json:"retry_after_ns,omitempty"`
}

// Status is what a running broker tells about itself.
type Status struct {
	Version     string    `json:"version"`
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Generation  uint64    `json:"generation"` // counts loads, from 1
	Digest      string    `json:"digest"`
	PolicyPaths []string  `json:"policy_paths,omitempty"`
	Log         string    `json:"log,omitempty"` // the file that it logs to; "" is its stderr
	Loaded      time.Time `json:"loaded"`
	// LastReload is the error of the newest reload, with the first place in the policy that
	// is wrong, and ReloadFailed its time; "" and nothing when it succeeded.
	LastReload   string    `json:"last_reload_error,omitempty"`
	ReloadFailed time.Time `json:"last_reload_failed,omitzero"`
	// RolledBack is since when a policy runs that was rolled back to, and Sources the digest of what the files said when they
	// were loaded last, where that is another one.
	RolledBack time.Time       `json:"rolled_back,omitzero"`
	Sources    string          `json:"sources_digest,omitempty"`
	Services   []ServiceStatus `json:"services"`
	Bans       int             `json:"bans,omitempty"` // how many sources operators have shut out
	// Disabled are the names of services that are not served because the policy says so.
	Disabled []string `json:"disabled,omitempty"`
	// Sessions lists live sessions, also of older generations; it is cut at
	// MaxSessions and SessionsLeftOut counts the rest.
	Sessions        []SessionStatus `json:"sessions"`
	SessionsLeftOut int             `json:"sessions_left_out,omitempty"`
}

// MaxSessions is how many sessions one Status lists.
const MaxSessions = 1000

// ServiceStatus is one service of the current generation. The counters run
// since the broker's start and survive reloads.
type ServiceStatus struct {
	Name      string           `json:"name"`
	Listeners []ListenerStatus `json:"listeners"`
	User      string           `json:"user"`
	ACL       string           `json:"acl"`
	Limit     string           `json:"limit"`
	Profile   string           `json:"profile"`
	Builtin   string           `json:"builtin,omitempty"`
	Redirect  string           `json:"redirect,omitempty"` // as in the policy's JSON
	// Losses are the best_effort layers that this host lacks, printable as they are.
	Losses []string `json:"losses,omitempty"`
	// Shield says, with refuse = "silent", what of the acl the kernel decides and what not.
	Shield []string `json:"shield,omitempty"`

	Live     int    `json:"live"`
	Peak     int    `json:"peak"`
	Queued   int    `json:"queued,omitempty"` // connections that wait for a place
	Admitted uint64 `json:"admitted"`
	Refused  uint64 `json:"refused"`
	// RefusedBy counts refusals by reason ("acl", "rate", "penalty", ...).
	RefusedBy map[string]uint64 `json:"refused_by,omitempty"`
	// EndedBy counts sessions that did not exit by themselves ("crash", "violation", "timeout", ...).
	EndedBy map[string]uint64 `json:"ended_by,omitempty"`
	// Failed counts admitted connections that could not be started.
	Failed uint64 `json:"failed"`
	// Drained is since when it takes no new clients, since an operator said so; nothing where it does.
	Drained   time.Time `json:"drained,omitzero"`
	Zygote    bool      `json:"zygote"` // one is running
	ZygotePID int       `json:"zygote_pid,omitempty"`
	// Error is why the service, or a part of it, is not being served now, or not as
	// the host has it now. Broken says that it is not served at all: its sandbox
	// cannot be prepared, which is tried again.
	Error  string `json:"error,omitempty"`
	Broken bool   `json:"broken,omitempty"`
}

// ListenerStatus is one socket.
type ListenerStatus struct {
	Key   string `json:"key"`   // listener.Spec.Key: "tcp4/0.0.0.0:79"
	State string `json:"state"` // listening, waiting (handed to the program), retrying, broken (as its service is) or shedding
	Error string `json:"error,omitempty"`
}

// SessionStatus is one running program.
type SessionStatus struct {
	ID         uint64    `json:"id"`
	Service    string    `json:"service"`
	Client     string    `json:"client,omitempty"` // empty for a wait service
	Name       string    `json:"name,omitempty"`   // the client's, where a rule has asked for it
	Local      string    `json:"local,omitempty"`  // the address and port that it came to
	PID        int       `json:"pid"`
	UID        uint32    `json:"uid"`
	Started    time.Time `json:"started"`
	Generation uint64    `json:"generation"`
	Digest     string    `json:"digest"`
}
