package score

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/acl/reach"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/explain"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/resource"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"

	"golang.org/x/sys/unix"
)

// measured is what an item finds: how much from 0 to 1, and in words.
type measured struct {
	value float64
	what  string
}

// ItemKind is a row of the table of what is measured.
type ItemKind struct {
	ID        string
	Dimension string // of policy/diff, in which it grows
	Doc       string // what a value of 1 is
	Weight    float64
	Fix       string
	// after is the value that Fix leads to.
	after   float64
	measure func(*subject) measured
	at      func(*policy.Service) string // the path of its origin
}

func truth(is bool, yes, no string) measured {
	if is {
		return measured{1, yes}
	}
	return measured{0, no}
}

// scaled is where n lies below most by its logarithm; 0 is no limit.
func scaled(n, most float64) float64 {
	if n <= 0 {
		return 1
	}
	return math.Min(1, math.Log2(1+n)/math.Log2(1+most))
}

// together is what things come to that are worth their own each.
func together(worth ...float64) float64 {
	left := 1.0
	for _, w := range worth {
		left *= 1 - w
	}
	return 1 - left
}

// set is words, each once.
func set(words []string) []string {
	words = slices.Sorted(slices.Values(words))
	return slices.Compact(words)
}

func some(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	if n := len(words); n > 6 {
		words = append(slices.Clone(words[:6]), fmt.Sprintf("%d more", n-6))
	}
	return strings.Join(words, ", ")
}

func ofService(name string) func(*policy.Service) string {
	return func(s *policy.Service) string { return "services." + s.Name + "." + name }
}

func ofLimit(name string) func(*policy.Service) string {
	return func(s *policy.Service) string { return "limits." + s.Limit + "." + name }
}

func ofProfile(name string) func(*policy.Service) string {
	return func(s *policy.Service) string { return "profiles." + s.Profile + "." + name }
}

// held is the part of a limit that is held for all who come to a service: the program of a wait service takes its clients
// itself, and the source of a datagram may be forged.
func held(s *policy.Service, l limit.Spec) *limit.Spec {
	wait := s.Wait && s.Builtin == ""
	if wait {
		l.Session, l.FirstByte, l.MinRate, l.Concurrent = 0, 0, 0, 0
	}
	if wait || slices.ContainsFunc(s.Listen, address.Listen.Datagram) {
		l.Penalty = limit.Penalty{}
	}
	return &l
}

// exempted tells whether a limit exempts half of the internet or more: what it counts of each source then holds for the others alone.
func exempted(l *limit.Spec) bool { return reach.OfPrefixes(l.Exempt).World() }

func number(name string, n int, most float64) measured {
	if n == 0 {
		return measured{1, name + ": no limit"}
	}
	return measured{scaled(float64(n), most), fmt.Sprintf("%s: at most %d", name, n)}
}

// rate is scaled by the events of a minute, 60,000 of which are as good as no limit.
func rate(name string, r limit.Rate) measured {
	if r.Events == 0 {
		return measured{1, name + ": no limit"}
	}
	return measured{scaled(float64(r.Events)*float64(time.Minute)/float64(r.Per), 60000), name + ": " + explain.FormatRate(r)}
}

// above is where a rate lies between the usual one and the most that a policy may say, by its logarithm.
func above(r, usual limit.Rate) float64 {
	second := func(r limit.Rate) float64 { return float64(r.Events) / r.Per.Seconds() }
	return max(0, math.Log(second(r)/second(usual))/math.Log(responses.Most/second(usual)))
}

// Items are all rows, in the order in which they are shown.
var Items = []ItemKind{
	{"datagram", "listeners", "datagrams, whose source anybody may forge", 3, "listen on tcp, if its clients can", 0,
		func(s *subject) measured {
			return truth(datagrams(s.service), "datagrams: a source may be forged", "connections")
		}, ofService("listen")},
	{"amplify", "command", "an answer that is longer than what it answers", 6, "remove amplify", 0,
		func(s *subject) measured {
			return truth(s.service.Amplify, "its answers are longer than what they answer", "answers no more than it was sent")
		}, ofService("amplify")},
	{"concurrent", "limits", "no limit of sessions at a time; 4096 are nearly that", 2, "set concurrent in its limit", 0.5,
		func(s *subject) measured { return number("sessions at a time", s.limit.Concurrent, 4096) }, ofLimit("concurrent")},
	{"rate", "limits", "no limit of new sessions; 1000/s is nearly that", 1.5, "set rate in its limit", 0.75,
		func(s *subject) measured { return rate("new sessions", s.limit.Rate) }, ofLimit("rate")},
	{"source_concurrent", "limits", "one source may have all sessions", 2, "set per_source { concurrent } in its limit", 0.3,
		func(s *subject) measured {
			if exempted(s.limit) {
				return measured{1, "sessions of one source: most addresses are exempt"}
			}
			return number("sessions of one source", s.limit.PerSource.Concurrent, 4096)
		}, ofLimit("per_source.concurrent")},
	{"source_rate", "limits", "one source may begin all sessions", 2, "set per_source { rate } in its limit", 0.4,
		func(s *subject) measured {
			if exempted(s.limit) {
				return measured{1, "new sessions of one source: most addresses are exempt"}
			}
			return rate("new sessions of one source", s.limit.PerSource.Rate)
		}, ofLimit("per_source.rate")},
	{"session", "limits", "a session without an end; a day is nearly that", 1, "set session in its limit", 0.6,
		func(s *subject) measured {
			m := measured{1, "a session: as long as it likes"}
			if s.limit.Session != 0 {
				m = measured{scaled(s.limit.Session.Seconds(), 86400), "a session: at most " + explain.FormatDuration(s.limit.Session)}
			}
			if s.limit.FirstByte != 0 {
				m.value, m.what = m.value*0.9, m.what+"; who says nothing: "+explain.FormatDuration(s.limit.FirstByte)
			}
			if s.limit.MinRate != 0 {
				m.value, m.what = m.value*0.8, m.what+"; no slower than "+explain.FormatPace(s.limit.MinRate)
			}
			return m
		}, ofLimit("session_ns")},
	{"penalty", "limits", "nobody is shut out for what a session did", 1, "name crash, timeout and violation in penalty of its limit", 0,
		func(s *subject) measured {
			// That slow ones are shut out says little where few are ended as slow.
			n, all := len(s.limit.Penalty.On), len(limit.Classes)-1
			if slices.Contains(s.limit.Penalty.On, limit.Slow) {
				n--
			}
			if n == 0 {
				return measured{1, "no penalty for whoever crashes it"}
			}
			if exempted(s.limit) {
				return measured{1, "a penalty: most addresses are exempt"}
			}
			return measured{1 - float64(n)/float64(all), fmt.Sprintf("a penalty for %d of %d classes", n, all)}
		}, ofLimit("penalty")},
	{"responses", "limits", "udp answers far above what a limit usually allows, to one network and to all", 2, "leave responses and responses_total of its limit as they are", 0,
		func(s *subject) measured {
			each, total := responses.Rates(s.limit)
			if !valid.Responds(s.service) {
				return measured{0, "no udp answers of a built-in"}
			}
			return measured{(above(each, responses.Usual) + above(total, responses.UsualTotal)) / 2,
				fmt.Sprintf("udp answers: %s for one network, %s for all", explain.FormatRate(each), explain.FormatRate(total))}
		}, ofLimit("responses")},
	{"user", "identity", "root; 0.35 is another fixed user, whose files and processes its sessions share", 12, `write user = "dynamic"`, 0,
		func(s *subject) measured {
			switch u := s.service.User; {
			case u == policy.Dynamic:
				return measured{0, "a user leased for each connection"}
			case valid.Root(u):
				return measured{1, "root"}
			default:
				return measured{0.35, "the user " + string(u)}
			}
		}, ofService("user")},
	{"groups", "identity", "root's group, or many supplementary ones", 2, "leave out group and groups that it does not need", 0,
		func(s *subject) measured {
			var worth []float64
			for _, g := range set(s.service.Groups) {
				if worth = append(worth, 0.4); valid.Root(policy.Account(g)) {
					worth = append(worth, 1)
				}
			}
			words := s.service.Groups
			if valid.Root(s.service.Group) {
				worth, words = append(worth, 1), append([]string{"root"}, words...)
			}
			return measured{together(worth...), "groups: " + some(words, "none but its user's")}
		}, ofService("groups")},
	{"capabilities", "capabilities", "those that are as good as root's", 10, "leave out capabilities that it does not need", 0,
		func(s *subject) measured {
			var worth []float64
			for _, c := range set(s.profile.Capabilities) {
				worth = append(worth, powers[c])
			}
			return measured{together(worth...), "capabilities: " + some(s.profile.Capabilities, "none")}
		}, ofProfile("capabilities")},
	{"calls", "seccomp", "all system calls of the kernel", 3, "begin its profile with a base that has fewer calls", 0.25,
		func(s *subject) measured {
			seen := map[string]bool{}
			for _, r := range s.rules {
				seen[r.Name] = true
			}
			all := len(seccomp.Names())
			return measured{float64(len(seen)) / float64(all), fmt.Sprintf("%d of %d system calls, some with some arguments alone", len(seen), all)}
		}, ofProfile("syscalls.allow")},
	{"perilous", "seccomp", "many calls that no shipped group has", 6, "leave out calls that no shipped group has", 0,
		func(s *subject) measured {
			var words []string
			for _, r := range s.rules {
				if why := advise.Perilous(r); why != "" && !slices.Contains(words, r.Name) {
					words = append(words, r.Name)
				}
			}
			return measured{1 - math.Exp2(-float64(len(words))/2), "calls that no group has: " + some(words, "none")}
		}, ofProfile("syscalls.allow")},
	{"code", "seccomp", "memory that is written and then executed", 3, "write syscalls { deny_write_execute = true }", 0,
		func(s *subject) measured {
			switch memory, by := seccomp.Written(s.rules); {
			case memory:
				return measured{1, "memory may be written and executed"}
			case len(by) > 0:
				return measured{0.5, "memory may be written and executed by " + some(by, "")}
			}
			return measured{0, "memory is written or executed, never both"}
		}, ofProfile("syscalls.allow")},
	{"programs", "seccomp", "it may execute programs as often as it likes", 3, "use a profile whose program is executed once", 0,
		func(s *subject) measured {
			if s.service.Ours() {
				return measured{0, "casemate-worker executes nothing"}
			}
			return truth(!calls.ExecsOnce(s.profile), "may execute programs", "executes its program once, and none afterwards")
		}, ofProfile("syscalls.allow")},
	{"violation", "seccomp", "a call that is not allowed fails, and the program goes on", 0.5, `write syscalls { on_violation = "kill" }`, 0,
		func(s *subject) measured {
			return truth(s.profile.Syscalls.OnViolation == "errno", "may go on trying calls", "the first call that is not allowed kills it")
		}, ofProfile("syscalls.on_violation")},
	{"launch", "seccomp", "the launch calls stay in its filter", 0.2, "write syscalls { seal = true }", 0,
		func(s *subject) measured {
			return truth(!s.profile.Syscalls.Seal, "the calls that start it stay in its filter, without power", "its filter is sealed")
		}, ofProfile("syscalls.seal")},
	{"read", "files", "/etc or the homes", 3, "name the files that it reads, in place of whole trees", 0.05,
		func(s *subject) measured {
			f := &s.profile.Files
			return measured{toRead.of(onHost(f, f.Read, f.Exec, f.Write, f.Devices)), "reads " + some(onHost(f, f.Read, f.Write), "no file but programs and libraries")}
		}, ofProfile("files.read")},
	{"execute", "files", "/usr, with a shell and all tools", 4, "name the programs that it starts, in place of whole directories", 0.2,
		func(s *subject) measured {
			f := &s.profile.Files
			return measured{toExec.of(onHost(f, f.Exec)), "executes from " + some(onHost(f, f.Exec), "nowhere but its program")}
		}, ofProfile("files.exec")},
	{"write", "files", "a whole tree of the system", 7, "name the directory that it writes, or give it state = true", 0.2,
		func(s *subject) measured {
			f := &s.profile.Files
			v := toWrite.of(onHost(f, f.Write))
			words := onHost(f, f.Write)
			if f.State { // its own, which no other service has
				v, words = together(v, 0.1), append(words, "its state directory")
			}
			return measured{v, "writes " + some(words, "nothing that stays")}
		}, ofProfile("files.write")},
	{"devices", "files", "many devices of the host", 3, "leave out devices that it does not need", 0,
		func(s *subject) measured {
			return measured{toDevices.of(s.profile.Files.Devices), "devices of the host: " + some(s.profile.Files.Devices, "none")}
		}, ofProfile("files.devices")},
	{"proc", "files", "the host's processes", 3, "write files { proc = true }, or leave it out", 0.1,
		func(s *subject) measured {
			switch f := &s.profile.Files; {
			case f.HostProc:
				return measured{1, "sees the host's processes"}
			case f.Proc:
				return measured{0.1, "a /proc of its own"}
			}
			return measured{0, "no /proc"}
		}, ofProfile("files.proc")},
	{"terminals", "files", "terminals, and what syslog takes", 0.5, "", 0,
		func(s *subject) measured {
			f, worth, words := &s.profile.Files, []float64{}, []string{}
			if f.Pty {
				worth, words = append(worth, 0.7), append(words, "terminals of its own")
			}
			if f.Log {
				worth, words = append(worth, 0.7), append(words, "/dev/log")
			}
			return measured{together(worth...), some(words, "no terminal, no syslog")}
		}, nil},
	{"network", "network", "the host's network", 6, `write network { mode = "none" }, with stdio = "relay" where it needs a loopback`, 0,
		func(s *subject) measured {
			v := map[sandbox.NetworkMode]float64{sandbox.NetworkPrivate: 0.05, sandbox.NetworkListener: 0.2, sandbox.NetworkHost: 1}[s.profile.Network.Mode]
			return measured{v, "network " + string(s.profile.Network.Mode)}
		}, ofProfile("network.mode")},
	{"connect", "network", "tcp connections to any port", 5, "name the ports in network { connect }", 0.2,
		func(s *subject) measured { return ports("connects to", s.profile.Network.Connect) }, ofProfile("network.connect")},
	{"bind", "network", "tcp listeners on any port", 3, "name the ports in network { bind }", 0.2,
		func(s *subject) measured { return ports("listens on", s.profile.Network.Bind) }, ofProfile("network.bind")},
	{"sockets", "network", "sockets of any family", 3, "leave out sockets that it does not need", 0,
		func(s *subject) measured {
			worth, words := []float64{}, []string{}
			for _, f := range families {
				if seccomp.Allows(s.rules, f.rule) {
					worth, words = append(worth, f.worth), append(words, f.name)
				}
			}
			return measured{together(worth...), "makes sockets: " + some(words, "none")}
		}, ofProfile("syscalls.allow")},
	{"resources", "resources", "no limit of memory, processes, files or time", 2, "set limits in resources of its profile", 0.6,
		func(s *subject) measured {
			sum, none := 0.0, []string{}
			for i, row := range sandbox.ResourceRows {
				if n := s.profile.Resources[i]; n == 0 {
					none = append(none, strings.ReplaceAll(row.Name, "_", " "))
					sum++
				} else {
					sum += scaled(float64(n), mostOf(i))
				}
			}
			return measured{sum / float64(len(sandbox.ResourceRows)), limitless(none)}
		}, ofProfile("resources")},
	{"scratch", "resources", "a private /tmp and /dev/shm of 64 GiB", 0.5, "make tmp and shm smaller", 0.6,
		func(s *subject) measured {
			n := s.profile.Files.Tmp + s.profile.Files.Shm
			if n == 0 {
				return measured{0, "no /tmp of its own"}
			}
			return measured{scaled(float64(n), 64<<30), explain.FormatSize(n) + " of /tmp and /dev/shm"}
		}, ofProfile("files.tmp")},
	{"namespaces", "namespaces", "the host's user namespace", 0.5, "", 0,
		func(s *subject) measured {
			return truth(!s.profile.UserNamespace, "the host's user namespace", "a user namespace of its own")
		}, ofProfile("user_namespace")},
	{"processor", "processor", "it shares its processors with everybody", 0.3, "", 0,
		func(s *subject) measured {
			p := &s.profile.Processor
			kept, all := 0, 0
			for i, v := range []string{p.StoreBypass, p.IndirectBranch, p.Core} {
				all += len(valid.Kept[i].Words) - 1
				kept += max(0, slices.Index(valid.Kept[i].Words, v))
			}
			return measured{1 - float64(kept)/float64(all), fmt.Sprintf("keeps %d of %d things of the processors to itself", kept, all)}
		}, ofProfile("processor")},
	{"best_effort", "best effort", "Landlock may be missing", 3, "leave best_effort out where the host has what it names", 0.05,
		func(s *subject) measured {
			var worth []float64
			for _, w := range set(s.profile.BestEffort) {
				v, ok := missing[w]
				if !ok {
					v = 0.4
				}
				worth = append(worth, v)
			}
			return measured{together(worth...), "may start without: " + some(s.profile.BestEffort, "nothing") + s.lost}
		}, ofProfile("best_effort")},
	{"shared", "command", "one program serves all clients, with the listening socket", 2, "serve each client with a program of its own (wait = false)", 0.3,
		func(s *subject) measured {
			switch {
			case s.service.Builtin != "":
				return measured{0.3, "one worker of casemate's serves all clients"}
			case s.service.Wait:
				return measured{1, "one program serves all clients, and has the listening socket"}
			}
			return measured{0, "a program for each client"}
		}, ofService("wait")},
	{"socket", "command", "the client's socket itself, which is the host's", 1, `write stdio = "relay"`, 0,
		func(s *subject) measured {
			switch {
			case s.service.Stdio == sandbox.StdioRelay:
				return measured{0, "a relay between it and the client"}
			case s.service.Apart():
				return measured{0.2, "the client's unix socket"}
			}
			return measured{1, "the client's socket itself, which is of the host's network"}
		}, ofService("stdio")},
}

// powers are what capabilities are worth: several of them are root's in effect.
var powers = map[string]float64{"CAP_SETUID": 0.6, "CAP_SETGID": 0.4, "CAP_DAC_OVERRIDE": 0.7, "CAP_CHOWN": 0.6, "CAP_FOWNER": 0.6,
	"CAP_KILL": 0.2, "CAP_NET_BIND_SERVICE": 0.15, "CAP_SYS_CHROOT": 0.3}

// missing are what layers are worth that may be missing.
var missing = map[string]float64{"cgroup": 0.05, "files.log": 0, "landlock": 1, "landlock.net": 0.5}

// families are the sockets that calls may make, with what they are worth.
var families = []struct {
	name  string
	rule  seccomp.Rule
	worth float64
}{
	{"unix", socketOf(unix.AF_UNIX), 0.1},
	{"tcp", socketOf(unix.AF_INET, unix.SOCK_STREAM), 0.3},
	{"tcp of IPv6", socketOf(unix.AF_INET6, unix.SOCK_STREAM), 0.1},
	{"udp", socketOf(unix.AF_INET, unix.SOCK_DGRAM), 0.2},
	{"udp of IPv6", socketOf(unix.AF_INET6, unix.SOCK_DGRAM), 0.1},
	{"netlink", socketOf(unix.AF_NETLINK), 0.2},
	{"raw", socketOf(unix.AF_INET, unix.SOCK_RAW), 0.6},
	{"packets", socketOf(unix.AF_PACKET), 0.6},
	{"vsock", socketOf(unix.AF_VSOCK), 0.4},
	{"those that the kernel's cryptography has", socketOf(unix.AF_ALG), 0.4},
}

// socketOf is a call of socket(2) of a family, and of a type with any of its flags.
func socketOf(family uint32, kind ...uint32) seccomp.Rule {
	r := seccomp.Rule{Name: "socket", Args: []seccomp.Arg{{Index: 0, Value: family}}}
	for _, k := range kind {
		r.Args = append(r.Args, seccomp.Arg{Index: 1, Mask: 0xf, Value: k})
	}
	return r
}

// ports is how many of a list may be used; 0 in it is any.
func ports(verb string, list []uint16) measured {
	switch {
	case len(list) == 0:
		return measured{0, verb + " no tcp port"}
	case list[0] == 0:
		return measured{1, verb + " any tcp port"}
	}
	return measured{scaled(float64(len(list)), 65535), verb + " tcp ports " + some(explain.Ports(list), "")}
}

func limitless(none []string) string {
	if len(none) == 0 {
		return "every resource has a limit"
	}
	return "no limit of " + some(none, "")
}

// mostOf is what is nearly no limit of a resource.
func mostOf(i int) float64 {
	switch resource.Rows[i].Unit {
	case resource.Bytes:
		return 1 << 38
	case resource.Share:
		return 64000 // 64 processors
	case resource.Seconds:
		return 86400
	}
	return 1 << 20
}
