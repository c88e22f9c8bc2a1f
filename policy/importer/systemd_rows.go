package importer

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/policy/explain"
	"casemate/policy/valid"
)

// sdRow is what is done with a directive: something, or a report.
type sdRow struct {
	do           func(*systemdImport, *sdSet)
	kind         Kind
	why, instead string
}

func text(to func(*systemdImport) *string) sdRow {
	return sdRow{do: func(d *systemdImport, s *sdSet) { *to(d) = s.value }}
}

func moot(why string) sdRow          { return sdRow{kind: Note, why: why} }
func gone(why, instead string) sdRow { return sdRow{kind: Lost, why: why, instead: instead} }

// rows are several directives with one row.
func rows(table map[string]sdRow, row sdRow, keys string) {
	for _, k := range strings.Fields(keys) {
		table[k] = row
	}
}

var (
	sdSocket  = map[string]sdRow{}
	sdService = map[string]sdRow{}
)

func init() {
	socket, service := sdSocket, sdService
	rows(socket, sdRow{do: func(d *systemdImport, s *sdSet) { d.listens = append(d.listens, *s) }}, "ListenStream ListenDatagram ListenSequentialPacket")
	rows(socket, sdRow{do: func(d *systemdImport, s *sdSet) {
		d.off(s.file, s.line, s.text, "%s= has no counterpart: sockets of tcp, udp and unix have", s.key)
	}}, "ListenFIFO ListenSpecial ListenNetlink ListenMessageQueue ListenUSBFunction SocketProtocol")
	socket["Accept"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.accept = d.truth(s) }}
	socket["Service"] = text(func(d *systemdImport) *string { return &d.starts })
	socket["BindIPv6Only"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.six = s.value == "ipv6-only" }}
	socket["SocketMode"] = text(func(d *systemdImport) *string { return &d.mode })
	socket["SocketUser"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.s.socket = append(d.s.socket, "owner = "+quote(s.value)) }}
	socket["SocketGroup"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.s.socket = append(d.s.socket, "group = "+quote(s.value)) }}
	socket["Backlog"] = sdRow{do: (*systemdImport).backlog}
	socket["KeepAlive"] = sdRow{do: func(d *systemdImport, s *sdSet) {
		if d.truth(s) && !slices.ContainsFunc(d.s.socket, func(a string) bool { return strings.HasPrefix(a, "keepalive") }) {
			d.s.socket = append(d.s.socket, `keepalive = "2h"`)
		}
	}}
	socket["MaxConnections"] = sdRow{do: count1(func(d *systemdImport) *int { return &d.s.limit.concurrent })}
	socket["MaxConnectionsPerSource"] = sdRow{do: count1(func(d *systemdImport) *int { return &d.s.limit.perSource })}
	rows(socket, sdRow{do: func(d *systemdImport, s *sdSet) { d.trigger[0], d.triggerAt = s.value, s }}, "TriggerLimitIntervalSec")
	rows(socket, sdRow{do: func(d *systemdImport, s *sdSet) { d.trigger[1], d.triggerAt = s.value, s }}, "TriggerLimitBurst")
	socket["IPAddressAllow"] = sdRow{do: addresses(func(d *systemdImport) *[]acl.Pattern { return &d.allow }, false)}
	socket["IPAddressDeny"] = sdRow{do: addresses(func(d *systemdImport) *[]acl.Pattern { return &d.deny }, true)}
	socket["BindToDevice"] = option("interface", quote)
	socket["NoDelay"] = option("nodelay", nil)
	socket["FreeBind"] = option("freebind", nil)
	socket["Transparent"] = option("transparent", nil)
	for key, name := range map[string]string{"ReceiveBuffer": "receive_buffer", "SendBuffer": "send_buffer"} {
		socket[key] = sdRow{do: func(d *systemdImport, s *sdSet) { d.buffer(name, s) }}
	}
	socket["IPTOS"] = sdRow{do: (*systemdImport).trafficClass}
	for key, name := range map[string]string{"Mark": "mark", "Priority": "priority"} {
		most := map[string]uint64{"mark": 1<<32 - 1, "priority": valid.MaxPriority}[name]
		socket[key] = sdRow{do: func(d *systemdImport, s *sdSet) {
			if n, err := strconv.ParseUint(s.value, 10, 32); err == nil && n <= most {
				d.option(name, strconv.FormatUint(n, 10))
				return
			}
			d.lost(s.file, s.line, s.text, fmt.Sprintf("write a number up to %d", most), "%s= is not carried over", s.key)
		}}
	}
	rows(socket, moot("casemate does so by itself, or has no need of it"), "PollLimitIntervalSec PollLimitBurst FlushPending Writable RemoveOnStop ReusePort DirectoryMode FileDescriptorName DeferTrigger DeferTriggerMaxSec TimeoutSec")
	rows(socket, gone("the option is not set", "let the program set it"), "KeepAliveTimeSec KeepAliveIntervalSec KeepAliveProbes DeferAcceptSec IPTTL TCPCongestion Broadcast PassCredentials PassPIDFD PassSecurity PassPacketInfo Timestamping PipeSize")
	rows(socket, gone("no program runs around a listener", "run it beside casemated"), "ExecStartPre ExecStartPost ExecStopPre ExecStopPost Symlinks")

	service["ExecStart"] = sdRow{do: (*systemdImport).command}
	service["User"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.s.user = s.value }}
	service["Group"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.s.group = s.value }}
	service["SupplementaryGroups"] = sdRow{do: func(d *systemdImport, s *sdSet) {
		d.s.groups = append(d.s.groups, strings.Fields(s.value)...)
		slices.Sort(d.s.groups)
		d.s.groups = slices.Compact(d.s.groups)
	}}
	service["DynamicUser"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.dynamic = d.truth(s) }}
	service["UMask"] = sdRow{do: func(d *systemdImport, s *sdSet) { d.s.umask = fmt.Sprintf("%04s", s.value) }}
	service["WorkingDirectory"] = sdRow{do: func(d *systemdImport, s *sdSet) {
		if !path.IsAbs(s.value) {
			d.lost(s.file, s.line, s.text, "write dir, an absolute path", "WorkingDirectory= is not carried over")
			return
		}
		d.s.dir = path.Clean(s.value)
	}}
	service["Environment"] = sdRow{do: (*systemdImport).environ}
	service["StandardInput"] = text(func(d *systemdImport) *string { return &d.input })
	service["StandardOutput"] = text(func(d *systemdImport) *string { return &d.output })
	service["StandardError"] = text(func(d *systemdImport) *string { return &d.err })
	service["RuntimeMaxSec"] = sdRow{do: (*systemdImport).session}
	for key, b := range map[string]struct {
		name string
		most int64
		unit string
	}{"LimitNOFILE": {"open_files", 1024, ""}, "LimitAS": {"address_space", 4 << 30, "B"}, "LimitDATA": {"data", 2 << 30, "B"}, "LimitSTACK": {"stack", 8 << 20, "B"}, "LimitFSIZE": {"file_size", 0, "B"},
		"LimitCPU": {"cpu_time", 0, "s"}, "LimitMEMLOCK": {"locked", 64 << 10, "B"}, "MemoryMax": {"memory", 2 << 30, "B"}, "TasksMax": {"tasks", 128, ""}} {
		service[key] = sdRow{do: bound(b.name, b.most, b.unit)}
	}
	rows(service, gone("in systemd it does not hold for sockets of the socket unit either", "write it in the .socket, or the acl"), "IPAddressAllow IPAddressDeny")
	rows(service, moot("the profile shows and lets the program do only what it names, which is less"), "NoNewPrivileges PrivateTmp PrivateDevices PrivateNetwork PrivateUsers PrivateMounts PrivateIPC ProtectSystem ProtectHome ProtectProc ProcSubset ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups ProtectClock ProtectHostname RestrictNamespaces RestrictRealtime RestrictSUIDSGID RestrictAddressFamilies RestrictFileSystems LockPersonality MemoryDenyWriteExecute SystemCallArchitectures InaccessiblePaths ReadOnlyPaths NoExecPaths DevicePolicy RemoveIPC KeyringMode UMaskInherit SocketBindDeny SecureBits")
	rows(service, gone("the profile says what the program may do", "write it in a profile of your own: see casemate profiles"), "CapabilityBoundingSet AmbientCapabilities SystemCallFilter SystemCallErrorNumber ReadWritePaths ExecPaths BindPaths BindReadOnlyPaths TemporaryFileSystem DeviceAllow StateDirectory RuntimeDirectory CacheDirectory LogsDirectory ConfigurationDirectory SocketBindAllow")
	rows(service, moot("casemate starts and ends programs in its own way, and logs them"), "Type Restart RestartSec RemainAfterExit KillMode KillSignal SendSIGHUP TimeoutStartSec TimeoutStopSec TimeoutSec SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix Slice CollectMode GuessMainPID IgnoreSIGPIPE SuccessExitStatus Delegate")
	service["Nice"] = whole(func(d *systemdImport) *string { return &d.s.nice }, valid.LeastNice, valid.MostNice)
	service["OOMScoreAdjust"] = whole(func(d *systemdImport) *string { return &d.s.oom }, 1, valid.MostOOMScore)
	service["PassEnvironment"] = sdRow{do: func(d *systemdImport, s *sdSet) {
		d.s.passEnv = append(d.s.passEnv, strings.Fields(s.value)...)
		if s.value == "" {
			d.s.passEnv = nil
		}
		slices.Sort(d.s.passEnv)
		d.s.passEnv = slices.Compact(d.s.passEnv)
	}}
	rows(service, gone("there is no counterpart", "give the profile resources { cpu = \"50%\" }"), "CPUQuota CPUWeight CPUSchedulingPolicy IOSchedulingClass IOWeight")
	rows(service, gone("casemate passes nothing of files on", "write env in the service, with the values"), "EnvironmentFile UnsetEnvironment LoadCredential SetCredential")
	rows(service, gone("no program runs before or after the service's", "start it with a script"), "ExecStartPre ExecStartPost ExecReload ExecStop ExecStopPost ExecCondition")
	rows(service, sdRow{do: func(d *systemdImport, s *sdSet) {
		d.off(s.file, s.line, s.text, "%s= has no counterpart: the program would be another one", s.key)
	}}, "RootDirectory RootImage")
}

// truth reads a boolean.
func (d *systemdImport) truth(s *sdSet) bool {
	switch strings.ToLower(s.value) {
	case "yes", "true", "on", "1":
		return true
	case "no", "false", "off", "0", "":
		return false
	}
	d.off(s.file, s.line, s.text, "%s= takes yes or no", s.key)
	return false
}

// option is a directive that is an attribute of socket { }: a text that write writes, or yes and no.
func option(name string, write func(string) string) sdRow {
	return sdRow{do: func(d *systemdImport, s *sdSet) {
		if write != nil {
			d.option(name, write(s.value))
		} else if d.truth(s) {
			d.option(name, "true")
		} else {
			d.option(name, "")
		}
	}}
}

// option sets an attribute of socket { }, the last time counts; "" is absent.
func (d *systemdImport) option(name, value string) {
	d.s.socket = slices.DeleteFunc(d.s.socket, func(a string) bool { return strings.HasPrefix(a, name+" = ") })
	if value != "" {
		d.s.socket = append(d.s.socket, name+" = "+value)
	}
}

// buffer reads a size, which systemd sets whatever the host's bound is.
func (d *systemdImport) buffer(name string, s *sdSet) {
	n, ok := sized(strings.TrimSuffix(s.value, "B"))
	if !ok || n < valid.LeastBuffer || n > valid.MostBuffer {
		d.lost(s.file, s.line, s.text, "write a size from 4K to 512M", "%s= is not carried over: the kernel chooses the size", s.key)
		return
	}
	d.option(name, quote(explain.ExactSize(n)))
	d.note(s.file, s.line, s.text, "raise net.core.wmem_max and rmem_max, if it is more", "%s= is refused above the host's bound", s.key)
}

// trafficClass reads IPTOS.
func (d *systemdImport) trafficClass(s *sdSet) {
	n, err := strconv.ParseUint(s.value, 0, 8)
	if word, ok := map[string]uint64{"low-delay": 16, "throughput": 8, "reliability": 4}[s.value]; ok {
		n, err = word, nil
	}
	if err != nil || n%4 != 0 {
		d.lost(s.file, s.line, s.text, `write tos = "ef" or another name`, "%s= is not carried over: its last two bits are congestion's", s.key)
		return
	}
	d.option("tos", strconv.FormatUint(n, 10))
}

// whole is a number from least to most; 0 is what there is without.
func whole(to func(*systemdImport) *string, least, most int) sdRow {
	return sdRow{do: func(d *systemdImport, s *sdSet) {
		n, err := strconv.Atoi(s.value)
		switch *to(d) = ""; {
		case err == nil && n == 0:
		case err == nil && n >= least && n <= most:
			*to(d) = strconv.Itoa(n)
		default:
			d.lost(s.file, s.line, s.text, fmt.Sprintf("write a number from %d to %d", least, most), "%s= is not carried over", s.key)
		}
	}}
}

func (d *systemdImport) backlog(s *sdSet) {
	n, err := strconv.ParseUint(s.value, 10, 32)
	if err != nil {
		d.off(s.file, s.line, s.text, "Backlog= takes a number")
		return
	}
	if n > 1<<16-1 {
		n = 0 // the system's maximum
	}
	d.s.socket = append(slices.DeleteFunc(d.s.socket, func(a string) bool { return strings.HasPrefix(a, "backlog") }), fmt.Sprintf("backlog = %d", n))
}

func count1(to func(*systemdImport) *int) func(*systemdImport, *sdSet) {
	return func(d *systemdImport, s *sdSet) {
		n, err := strconv.Atoi(s.value)
		if err != nil || n < 1 || n > 1_000_000 {
			d.off(s.file, s.line, s.text, "%s= takes a number from 1", s.key)
			return
		}
		*to(d) = n
	}
}

// rates are the bounds that systemd has by itself, or as written.
func (d *systemdImport) rates() {
	l := &d.s.limit
	burst, per := 20, 2.0
	if d.accept {
		burst = 200
		if l.concurrent == 0 {
			l.concurrent = 64
		}
	} else {
		l.concurrent, l.perSource = 0, 0 // of connections, which the program takes itself
	}
	if t, err := span(d.trigger[0]); err == nil && t > 0 {
		per = t.Seconds()
	}
	if n, err := strconv.Atoi(d.trigger[1]); err == nil && n > 0 {
		burst = n
	}
	if l.perSecond = int(float64(burst) / per); l.perSecond < 1 {
		l.perSecond, l.perMinute = 0, max(1, int(60*float64(burst)/per))
	}
	l.burst = max(burst, l.perSecond)
	if at := d.triggerAt; at != nil {
		d.note(at.file, at.line, at.text, "", "what is above TriggerLimit is shed, and the service never fails for good")
	}
}

// span reads a time of systemd: a number of seconds, or numbers with units.
func span(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e9 {
		return time.Duration(n * float64(time.Second)), nil
	}
	s = strings.NewReplacer(" ", "", "msec", "ms", "min", "m", "sec", "s", "hr", "h").Replace(s)
	return time.ParseDuration(s)
}

func (d *systemdImport) session(s *sdSet) {
	t, err := span(s.value)
	if s.value == "infinity" || err == nil && t == 0 {
		return
	}
	if err != nil {
		d.off(s.file, s.line, s.text, "%q is no time", s.value)
		return
	}
	d.s.limit.session = explain.FormatDuration(t)
}

// command reads ExecStart.
func (d *systemdImport) command(s *sdSet) {
	line := strings.TrimLeft(s.value, "-:")
	if line != s.value {
		d.note(s.file, s.line, s.text, "", "the prefix of ExecStart= changes nothing here")
	}
	named := false // the second word is what the program is called by
	if rest, ok := strings.CutPrefix(line, "@"); ok {
		line, named = rest, true
	}
	words, why := sdWords(line)
	if draft := why != "" && len(words) > 0 && !named && len(d.s.command) == 0; draft {
		d.s.command, d.s.draft = words, true
		d.off(s.file, s.line, s.text, "its command is not to be had: %s", why)
		return
	}
	switch {
	case s.value == "": // forgets those before it
		d.s.command = nil
		return
	case len(d.s.command) > 0:
		why = "there are several ExecStart="
	case why != "":
	case len(words) == 0:
		why = "it is empty"
	case named && len(words) < 2:
		why = "the name after @ is missing"
	case strings.ContainsAny(words[0][:min(1, len(words[0]))], "+!|"):
		why = "it runs with more rights than the service has"
	case slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ReplaceAll(w, "$$", ""), "$") }):
		why = "variables are not put in here"
	case slices.Contains(words, ";"):
		why = "it is several commands"
	}
	if why != "" {
		d.off(s.file, s.line, s.text, "its command is not to be had: %s", why)
		return
	}
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "$$", "$")
	}
	if d.s.argv0 = ""; named {
		d.s.argv0 = words[1]
		words = slices.Delete(words, 1, 2)
	}
	d.s.command = words
}

func (d *systemdImport) environ(s *sdSet) {
	words, why := sdWords(s.value)
	if why != "" {
		d.lost(s.file, s.line, s.text, "write env in the service", "Environment= is not carried over: %s", why)
		return
	}
	if len(words) == 0 {
		d.s.env = nil
	}
	for _, w := range words {
		name, _, ok := strings.Cut(w, "=")
		if !ok {
			d.lost(s.file, s.line, s.text, "write env in the service", "%q is not NAME=value", w)
			continue
		}
		d.s.env = append(slices.DeleteFunc(d.s.env, func(e string) bool { return strings.HasPrefix(e, name+"=") }), w)
	}
}

// bound reads a limit of resources; most is what profile.server has, 0 is none.
func bound(name string, most int64, unit string) func(*systemdImport, *sdSet) {
	return func(d *systemdImport, s *sdSet) {
		word, _, _ := strings.Cut(s.value, ":") // the soft one
		d.s.bounds = slices.DeleteFunc(d.s.bounds, func(b string) bool { return strings.HasPrefix(b, name+" ") })
		if word == "infinity" {
			d.s.widens = d.s.widens || most > 0
			d.s.bounds = append(d.s.bounds, name+` = "unlimited"`)
			return
		}
		n, ok := sized(word)
		if g, found := strings.CutSuffix(word, "G"); found {
			n, ok = sized(g)
			n <<= 30
		}
		if !ok || n <= 0 {
			d.lost(s.file, s.line, s.text, "write it in the profile's resources", "%s= is not carried over: %q is no plain number", s.key, s.value)
			return
		}
		d.s.widens = d.s.widens || most > 0 && n > most
		switch unit {
		case "":
			d.s.bounds = append(d.s.bounds, fmt.Sprintf("%s = %d", name, n))
		case "B":
			d.s.bounds = append(d.s.bounds, fmt.Sprintf("%s = %q", name, explain.ExactSize(n)))
		default:
			d.s.bounds = append(d.s.bounds, fmt.Sprintf("%s = \"%d%s\"", name, n, unit))
		}
	}
}

// sdAddressWords are the words of IPAddressAllow and IPAddressDeny.
var sdAddressWords = map[string][]acl.Pattern{
	"any":        {"0.0.0.0/0", "::/0"},
	"localhost":  {"127.0.0.0/8", "::1"},
	"link-local": {"169.254.0.0/16", "fe80::/64"},
	"multicast":  {"224.0.0.0/4", "ff00::/8"},
}

// addresses reads a list of them; denies says that one that is not understood denies all.
func addresses(to func(*systemdImport) *[]acl.Pattern, denies bool) func(*systemdImport, *sdSet) {
	return func(d *systemdImport, s *sdSet) {
		if s.value == "" {
			*to(d) = nil
		}
		for _, w := range strings.Fields(s.value) {
			if ps, ok := sdAddressWords[w]; ok {
				*to(d) = append(*to(d), ps...)
				continue
			}
			pre, err := netip.ParsePrefix(w)
			if a, aerr := netip.ParseAddr(w); aerr == nil && a.Zone() == "" {
				pre, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil || pre.Addr().Is4In6() {
				d.lost(s.file, s.line, s.text, "write an address, or address/length", "%q is no address", w)
				if denies {
					d.s.closed = append(d.s.closed, fmt.Sprintf("%q of %s= is no address", w, s.key))
				}
				continue
			}
			*to(d) = append(*to(d), one(pre.Masked())...)
		}
	}
}
