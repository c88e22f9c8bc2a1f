// Package policy is the compiled policy: plain data with invariants, a
// canonical JSON form, a digest, and the origin of every value.
//
// It knows no HCL. The compiler makes it and holds it to package valid, the broker decides by it and every
// review tool reads it, all by way of package canon, which decodes it strictly. casemated itself takes what is
// granted to root of it (package granted) and nothing else.
package policy

import (
	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/listener/endpoint"
	"casemate/policy/granted"
	"casemate/sandbox"
	"slices"
	"time"
)

// Policy is a whole compiled policy. Slices of named things are sorted by name.
type Policy struct {
	// Granted is what all the rest comes to for root. Package canon makes it for each document, and holds what it
	// reads to it; else it is nil.
	Granted *granted.Policy `json:"granted"`
	Edition int             `json:"edition"`
	Machine string          `json:"machine,omitempty"` // machine.Compiled of the compiler: Filters are numbers of calls there
	// OnStop says what a stopping broker does with running sessions.
	OnStop StopMode `json:"on_stop"`
	// OnBroken says what a start does that cannot prepare all services.
	OnBroken BrokenMode `json:"on_broken"`
	// OnNarrow says what a load does with sessions whose client it does not admit any more, "" is NarrowKeep.
	OnNarrow NarrowMode        `json:"on_narrow,omitempty"`
	ACLs     []acl.List        `json:"acls"`
	Limits   []limit.Spec      `json:"limits"`
	Profiles []sandbox.Profile `json:"profiles"`
	// Filters are what the profiles' system calls come to, by valid.FilterName: profiles
	// that allow the same share one. A document has them in Granted alone.
	Filters  granted.Filters `json:"-"`
	Services []Service       `json:"services"`
	// Disabled are services that are not served, for whoever asks what became of them: they
	// are checked as the others are, and casemated takes no more of them than their names.
	Disabled []Service `json:"disabled,omitempty"`
}

// StopMode is a word of on_stop.
type StopMode string

// The words, and all of them.
const (
	StopEnd   StopMode = "end"
	StopLeave StopMode = "leave"
)

var StopModes = []StopMode{StopEnd, StopLeave}

// BrokenMode is a word of on_broken.
type BrokenMode string

// The words: the services that can be served are, and the others tried again, or
// none is. A reload refuses in any case.
const (
	BrokenRetry  BrokenMode = "retry"
	BrokenRefuse BrokenMode = "refuse"
)

// BrokenModes are all of them.
var BrokenModes = []BrokenMode{BrokenRetry, BrokenRefuse}

// NarrowMode is a word of on_narrow.
type NarrowMode string

// The words.
const (
	NarrowKeep NarrowMode = "keep"
	NarrowEnd  NarrowMode = "end"
)

// NarrowModes are all of them.
var NarrowModes = []NarrowMode{NarrowKeep, NarrowEnd}

// Account is the name or decimal number of a user or group.
type Account string

// Dynamic is a user leased for every connection.
const Dynamic Account = granted.Dynamic

// Service is one service block. ACL, Limit and Profile are names in the Policy;
// ACL is "" when the block named none (nobody is admitted).
type Service struct {
	Name string `json:"name"`
	// Disable is what its block says, until it is among Services or Disabled.
	Disable bool `json:"-"`

	Listen []address.Listen `json:"listen"`
	// Mux are its names behind tcpmux, with a + in front where casemate says that itself.
	Mux []string `json:"mux,omitempty"`
	// Socket are the options of its listening sockets.
	Socket Socket `json:"socket"`
	// Command is the absolute path of the program and its arguments. Exactly one of Command,
	// Builtin and Redirect is set. Argv0 is the program's argv[0], "" the base name of the path.
	Command []string `json:"command,omitempty"`
	Argv0   string   `json:"argv0,omitempty"`
	// Builtin is one of Builtins.
	Builtin string `json:"builtin,omitempty"`
	// Says are the quotes of qotd, as they are sent, or the name that auth gives everybody.
	Says []string `json:"says,omitempty"`
	// Amplify lets qotd answer a datagram with more than it holds.
	Amplify bool `json:"amplify,omitempty"`
	// Redirect is the Target that casemate-worker carries its connections to, with a header
	// of that ProxyProtocol in front: v1, v2, or "" for none.
	Redirect      address.Listen `json:"redirect,omitzero"`
	ProxyProtocol string         `json:"proxy_protocol,omitempty"`
	User          Account        `json:"user"`
	// Group is "" for the user's own group.
	Group Account `json:"group,omitempty"`
	// Groups are the supplementary groups; none by default.
	Groups  []string `json:"groups,omitempty"`
	Because string   `json:"because,omitempty"`

	ACL     string `json:"acl"`
	Limit   string `json:"limit"`
	Profile string `json:"profile"`

	// Wait hands the listening socket over and waits for the program to end (inetd "wait").
	Wait  bool          `json:"wait"`
	Stdio sandbox.Stdio `json:"stdio"`
	// Stdout is StdoutLog where 1 is for the log, whatever Stdio has there; "" is as Stdio has it.
	Stdout string `json:"stdout,omitempty"`
	// FDNames are LISTEN_FDNAMES of a program that gets all sockets, one for each of Listen.
	FDNames []string `json:"fd_names,omitempty"`
	// Env is set for the program; EnvStyle adds the peer's facts: ucspi, systemd,
	// xinetd. None is no facts; what a policy leaves out is systemd and ucspi.
	Env      map[string]string `json:"env,omitempty"`
	EnvStyle []string          `json:"env_style,omitempty"`
	// Dir is the working directory inside the sandbox.
	Dir   string `json:"dir"`
	Umask uint32 `json:"umask"`
	// PassEnv are the variables that it has as casemated has them.
	PassEnv []string `json:"pass_env,omitempty"`
	// Nice is its scheduling priority, OOMScore its oom_score_adj (at least 1); 0 leaves them to casemated.
	Nice     int `json:"nice,omitempty"`
	OOMScore int `json:"oom_score,omitempty"`
	// Banner is what a refused client of a connection is sent, "" nothing but a reset; BannerAccept what each one
	// is sent before it is decided about, BannerSuccess who is admitted, before its program or relay begins.
	Banner        string `json:"banner,omitempty"`
	BannerAccept  string `json:"banner_accept,omitempty"`
	BannerSuccess string `json:"banner_success,omitempty"`
	// Refuse is how refused clients are told, "" as there is a Banner or not.
	Refuse Refusal `json:"refuse,omitempty"`
	// KeepSocket has the broker keep a copy of a client's socket, which it never reads, while
	// the session lasts: its end is orderly, and Hangup and Idle are seen.
	KeepSocket bool `json:"keep_socket"`
	// Hangup ends a session whose client has gone; Idle one without a byte either way for so long, 0 = never.
	Hangup bool          `json:"hangup,omitempty"`
	Idle   time.Duration `json:"idle_ns,omitempty"`
	// Linger is how long an idle service keeps its zygote.
	Linger time.Duration `json:"linger_ns"`
	// Log is what of the service is in the log.
	Log LogLevel `json:"log"`
	// Retry re-tries a busy or missing address with backoff where it would be a load error.
	Retry bool `json:"retry"`
}

// Refusal is what a refused client gets: its Banner, a reset, or, as far as the kernel can decide, nothing at all.
type Refusal string

// The ways to refuse.
const (
	RefuseBanner Refusal = "banner"
	RefuseReset  Refusal = "reset"
	RefuseSilent Refusal = "silent"
)

// Refusals are all of them.
var Refusals = []Refusal{RefuseBanner, RefuseReset, RefuseSilent}

// StdoutLog is the word of Service.Stdout.
const StdoutLog = "log"

// LogLevel says what the log leaves out of a service: nothing, its refusals, or its
// clients and sessions as long as nothing goes wrong.
type LogLevel string

// LogLevels are the levels that there are.
var LogLevels = []LogLevel{"all", "sessions", "refusals"}

// Socket are options of a service's listening sockets.
type Socket struct {
	// Mode, Owner and Group are those of the files of unix sockets; "" is root's.
	Mode  uint32 `json:"mode,omitempty"`
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	// Backlog of listen(2); 0 is the system's maximum (somaxconn).
	Backlog int `json:"backlog"`
	// Keepalive is the silence after which the kernel asks a tcp client whether it is still there, 0 = never.
	Keepalive time.Duration `json:"keepalive_ns,omitempty"`
	// Interface is the only one whose packets the tcp and udp sockets take, "" = all.
	Interface string `json:"interface,omitempty"`
	// Freebind binds an address that the host does not have yet, Transparent one that it never has.
	Freebind    bool `json:"freebind,omitempty"`
	Transparent bool `json:"transparent,omitempty"`
	NoDelay     bool `json:"nodelay,omitempty"`
	// SendBuffer and ReceiveBuffer are in bytes; 0 leaves them to the kernel.
	SendBuffer    uint32 `json:"send_buffer,omitempty"`
	ReceiveBuffer uint32 `json:"receive_buffer,omitempty"`
	// TOS is the byte in the headers of packets sent, Mark what routing and firewalls see of
	// them, Priority their queue.
	TOS      uint32 `json:"tos,omitempty"`
	Mark     uint32 `json:"mark,omitempty"`
	Priority uint32 `json:"priority,omitempty"`
}

// Together tells whether one program gets all the sockets at once (sd_listen_fds(3)), as each builtin's does.
func (s *Service) Together() bool { return s.Wait && s.Stdio == sandbox.StdioFDs }

// Paced tells whether it is seen how slow clients of s are: those of tcp, whose sockets the broker
// has a copy of, or the worker of a builtin.
func (s *Service) Paced() bool {
	tcp := func(l address.Listen) bool { return l.Inet() && !l.Datagram() }
	return (s.Builtin != "" || !s.Wait && s.KeepSocket) && (len(s.Mux) > 0 || slices.ContainsFunc(s.Listen, tcp))
}

// Endpoints are the kernel addresses of one of the service's listen addresses.
func (s *Service) Endpoints(l address.Listen) []endpoint.Endpoint {
	out := l.Endpoints()
	for i := range out {
		if l.Inet() {
			out[i].Interface = s.Socket.Interface
		}
	}
	return out
}

// Origins tells where a value was written: the key is the value's path in the
// canonical JSON (`acls.office.rules.0`, `services.finger.user`), named things
// by name; the value is "file:line:column". A value set by a default or by a
// base profile has the origin of that, or "default".
type Origins map[string]string

// Document is what the compiler prints: the policy, its digest and the origins.
// Only the policy is digested, so a comment or a moved block changes nothing.
type Document struct {
	FormatVersion int     `json:"format_version"`
	Digest        string  `json:"digest"`
	Policy        *Policy `json:"policy"`
	Origins       Origins `json:"origins"`
}
