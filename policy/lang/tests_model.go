package lang

import (
	"slices"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/policytest"
	"casemate/policy/valid"
	"casemate/sandbox"
)

// Member is one member of an object that conditions of tests know.
type Member struct{ Name, Doc string }

// prop is a member of what T stands for, and how it is computed.
type prop[T any] struct {
	Member
	of func(*modelOf, *T) value
}

// modelOf makes the objects of a document. Those of an acl, a limit and a profile are made once.
type modelOf struct {
	doc                    *policy.Document
	acls, limits, profiles map[string]value
}

func text(s string) value               { return value{kind: kindString, s: s} }
func num[N int | int64](n N) value      { return value{kind: kindNumber, n: int64(n)} }
func millis(d time.Duration) value      { return value{kind: kindNumber, n: d.Milliseconds()} }
func none() value                       { return value{kind: kindNull} }
func object(fields ...field) value      { return value{kind: kindObject, obj: fields} }
func member(name string, v value) field { return field{name: name, val: v} }

func textList[S ~string](list []S) value {
	v := value{kind: kindList}
	for _, s := range list {
		v.list = append(v.list, text(string(s)))
	}
	return v
}

func textMap(m map[string]string) value {
	v := value{kind: kindObject}
	for _, k := range sortedKeys(m) {
		v.obj = append(v.obj, member(k, text(m[k])))
	}
	return v
}

func orNone(s string) value {
	if s == "" {
		return none()
	}
	return text(s)
}

func made[T any](m *modelOf, props []prop[T], t *T) value {
	v := value{kind: kindObject, obj: make([]field, 0, len(props))}
	for i := range props {
		v.obj = append(v.obj, member(props[i].Name, props[i].of(m, t)))
	}
	return v
}

// once makes the object of a name the first time.
func once[T any](m *modelOf, known map[string]value, props []prop[T], name string, t *T) value {
	if t == nil {
		return none()
	}
	v, ok := known[name]
	if !ok {
		v = made(m, props, t)
		known[name] = v
	}
	return v
}

// services are the objects of all services that are served, in the order of their names.
func (s *suite) services() value {
	if s.model == nil {
		m := &modelOf{doc: s.doc, acls: map[string]value{}, limits: map[string]value{}, profiles: map[string]value{}}
		v := value{kind: kindList}
		for i := range s.doc.Policy.Services {
			v.list = append(v.list, made(m, serviceProps, &s.doc.Policy.Services[i]))
		}
		s.model = &v
	}
	return *s.model
}

// serviceProps are the members of a service. Its name is the first.
var serviceProps = []prop[policy.Service]{
	{Member{"name", "of its block; NAME-KEY with for_each"}, func(_ *modelOf, s *policy.Service) value { return text(s.Name) }},
	{Member{"listen", "its addresses as text, as casemate check prints them"}, func(_ *modelOf, s *policy.Service) value { return textList(policytest.Listens(s)) }},
	{Member{"networks", "of them, each once: tcp, udp, unix, unixgram, unixpacket, vsock"}, func(_ *modelOf, s *policy.Service) value {
		var out []string
		for _, l := range s.Listen {
			if n := policytest.Network(l); !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
		return textList(out)
	}},
	{Member{"command", "the program and its arguments, [] of a built-in or a redirect"}, func(_ *modelOf, s *policy.Service) value { return textList(s.Command) }},
	{Member{"builtin", "or null"}, func(_ *modelOf, s *policy.Service) value { return orNone(s.Builtin) }},
	{Member{"redirect", "or null"}, func(_ *modelOf, s *policy.Service) value { return orNone(explain.Target(s)) }},
	{Member{"user", ""}, func(_ *modelOf, s *policy.Service) value { return text(string(s.User)) }},
	{Member{"root", "true where the user is root"}, func(_ *modelOf, s *policy.Service) value { return yesNo(valid.Root(s.User)) }},
	{Member{"group", "null: the user's own"}, func(_ *modelOf, s *policy.Service) value { return orNone(string(s.Group)) }},
	{Member{"groups", "further ones"}, func(_ *modelOf, s *policy.Service) value { return textList(s.Groups) }},
	{Member{"because", "the reason of the service or its profile, or null"}, func(m *modelOf, s *policy.Service) value { return orNone(valid.Reason(m.doc.Policy, s)) }},
	{Member{"env", "an object of texts"}, func(_ *modelOf, s *policy.Service) value { return textMap(s.Env) }},
	{Member{"wait", "true: its program takes the listening socket"}, func(_ *modelOf, s *policy.Service) value { return yesNo(s.Wait) }},
	{Member{"stdio", ""}, func(_ *modelOf, s *policy.Service) value { return text(string(s.Stdio)) }},
	{Member{"idle", "in milliseconds, 0 is never"}, func(_ *modelOf, s *policy.Service) value { return millis(s.Idle) }},
	{Member{"hangup", ""}, func(_ *modelOf, s *policy.Service) value { return yesNo(s.Hangup) }},
	{Member{"log", ""}, func(_ *modelOf, s *policy.Service) value { return text(string(s.Log)) }},
	{Member{"acl", "an object, or null: nobody is admitted"}, func(m *modelOf, s *policy.Service) value {
		return once(m, m.acls, aclProps, s.ACL, m.doc.Policy.ACL(s.ACL))
	}},
	{Member{"limit", "an object"}, func(m *modelOf, s *policy.Service) value {
		return once(m, m.limits, limitProps, s.Limit, m.doc.Policy.Limit(s.Limit))
	}},
	{Member{"profile", "an object"}, func(m *modelOf, s *policy.Service) value {
		return once(m, m.profiles, profileProps, s.Profile, m.doc.Policy.Profile(s.Profile))
	}},
	{Member{"origin", "file:line:column of its block"}, func(m *modelOf, s *policy.Service) value { return text(m.doc.Origins.Lookup("services." + s.Name)) }},
}

// aclProps are the members of an acl.
var aclProps = []prop[acl.List]{
	{Member{"name", ""}, func(_ *modelOf, l *acl.List) value { return text(l.Name) }},
	{Member{"default", "allow or deny"}, func(_ *modelOf, l *acl.List) value { return text(string(l.Default)) }},
	{Member{"admits_all", "true where every client is admitted"}, func(_ *modelOf, l *acl.List) value { return yesNo(l.AllowsAll()) }},
	{Member{"rules", "in their order, objects: verdict, name (or null), from, except, to, during, env, command"}, func(_ *modelOf, l *acl.List) value {
		v := value{kind: kindList}
		for i := range l.Rules {
			r := &l.Rules[i]
			var to []string
			for _, p := range r.To {
				to = append(to, p.String())
			}
			v.list = append(v.list, object(member("verdict", text(string(r.Verdict))), member("name", orNone(r.Name)), member("from", textList(r.From)), member("except", textList(r.Except)),
				member("to", textList(to)), member("during", textList(civil.Write(r.During))), member("env", textMap(r.Env)), member("command", textList(r.Command))))
		}
		return v
	}},
}

// rateOf is an object: events for each per, in milliseconds; 0 and 0 is no limit.
func rateOf(r limit.Rate) value {
	return object(member("events", num(r.Events)), member("per", millis(r.Per)))
}

// limitProps are the members of a limit; 0 is no limit of that kind.
var limitProps = []prop[limit.Spec]{
	{Member{"name", ""}, func(_ *modelOf, l *limit.Spec) value { return text(l.Name) }},
	{Member{"concurrent", "as the others 0 for no limit"}, func(_ *modelOf, l *limit.Spec) value { return num(l.Concurrent) }},
	{Member{"rate", "an object: events, and per, in milliseconds"}, func(_ *modelOf, l *limit.Spec) value { return rateOf(l.Rate) }},
	{Member{"burst", ""}, func(_ *modelOf, l *limit.Spec) value { return num(l.Burst) }},
	{Member{"session", "in milliseconds, as queue"}, func(_ *modelOf, l *limit.Spec) value { return millis(l.Session) }},
	{Member{"first_byte", "likewise"}, func(_ *modelOf, l *limit.Spec) value { return millis(l.FirstByte) }},
	{Member{"min_rate", "in bytes a second"}, func(_ *modelOf, l *limit.Spec) value { return num(l.MinRate) }},
	{Member{"queue", ""}, func(_ *modelOf, l *limit.Spec) value { return millis(l.Queue) }},
	{Member{"queue_length", ""}, func(_ *modelOf, l *limit.Spec) value { return num(l.QueueLength) }},
	{Member{"max_load", "in hundredths"}, func(_ *modelOf, l *limit.Spec) value { return num(l.MaxLoad) }},
	{Member{"responses", "an object as rate: what one source gets, with what holds where the policy is silent"}, func(_ *modelOf, l *limit.Spec) value {
		each, _ := responses.Rates(l)
		return rateOf(each)
	}},
	{Member{"responses_total", "likewise: what all get"}, func(_ *modelOf, l *limit.Spec) value {
		_, total := responses.Rates(l)
		return rateOf(total)
	}},
	{Member{"early_drop", "an object: start and percent"}, func(_ *modelOf, l *limit.Spec) value {
		return object(member("start", num(l.EarlyDrop.Start)), member("percent", num(l.EarlyDrop.Percent)))
	}},
	{Member{"exempt", "the prefixes of whom nothing is counted"}, func(_ *modelOf, l *limit.Spec) value { return textList(explain.Prefixes(l.Exempt)) }},
	{Member{"per_source", "an object: concurrent, rate, burst, ipv4_prefix, ipv6_prefix, and wider, a list of objects: ipv4_prefix, ipv6_prefix, times"}, func(_ *modelOf, l *limit.Spec) value {
		s := &l.PerSource
		wider := value{kind: kindList}
		for _, w := range s.Wider {
			wider.list = append(wider.list, object(member("ipv4_prefix", num(w.Prefix4)), member("ipv6_prefix", num(w.Prefix6)), member("times", num(w.Times))))
		}
		return object(member("concurrent", num(s.Concurrent)), member("rate", rateOf(s.Rate)), member("burst", num(s.Burst)), member("ipv4_prefix", num(s.Prefix4)), member("ipv6_prefix", num(s.Prefix6)), member("wider", wider))
	}},
	{Member{"penalty", "an object: on, a list, first and max, and what an offence of each class adds: crash, slow, timeout and violation, in milliseconds"}, func(_ *modelOf, l *limit.Spec) value {
		return object(member("on", textList(l.Penalty.On)), member("first", millis(l.Penalty.First)), member("max", millis(l.Penalty.Max)),
			member("crash", millis(l.Penalty.Adds(limit.Crash))), member("slow", millis(l.Penalty.Adds(limit.Slow))), member("timeout", millis(l.Penalty.Adds(limit.Timeout))), member("violation", millis(l.Penalty.Adds(limit.Violation))))
	}},
}

func portNumbers(ports []uint16) value {
	v := value{kind: kindList}
	for _, p := range ports {
		v.list = append(v.list, num(int(p)))
	}
	return v
}

// profileProps are the members of a profile, with all that it has of its base.
var profileProps = []prop[sandbox.Profile]{
	{Member{"name", ""}, func(_ *modelOf, f *sandbox.Profile) value { return text(f.Name) }},
	{Member{"base", "the profiles that it is made from, nearest first"}, func(_ *modelOf, f *sandbox.Profile) value { return textList(f.Base) }},
	{Member{"widens", "the layers that grant more than the base"}, func(_ *modelOf, f *sandbox.Profile) value { return textList(f.Widens) }},
	{Member{"because", "or null"}, func(_ *modelOf, f *sandbox.Profile) value { return orNone(f.Because) }},
	{Member{"best_effort", "the layers that may be missing"}, func(_ *modelOf, f *sandbox.Profile) value { return textList(f.BestEffort) }},
	{Member{"network", "an object: mode, connect and bind (ports; [0] is any)"}, func(_ *modelOf, f *sandbox.Profile) value {
		return object(member("mode", text(string(f.Network.Mode))), member("connect", portNumbers(f.Network.Connect)), member("bind", portNumbers(f.Network.Bind)))
	}},
	{Member{"files", "an object: read, exec, write, devices, dev (lists), tmp, shm (bytes), log, proc, host_proc, pty, state"}, func(_ *modelOf, f *sandbox.Profile) value {
		s := &f.Files
		return object(member("read", textList(s.Read)), member("exec", textList(s.Exec)), member("write", textList(s.Write)), member("devices", textList(s.Devices)), member("dev", textList(s.Dev)),
			member("tmp", num(s.Tmp)), member("shm", num(s.Shm)), member("log", yesNo(s.Log)), member("proc", yesNo(s.Proc)), member("host_proc", yesNo(s.HostProc)), member("pty", yesNo(s.Pty)), member("state", yesNo(s.State)))
	}},
	{Member{"capabilities", "as CAP_NET_BIND_SERVICE"}, func(_ *modelOf, f *sandbox.Profile) value { return textList(f.Capabilities) }},
	{Member{"user_namespace", ""}, func(_ *modelOf, f *sandbox.Profile) value { return yesNo(f.UserNamespace) }},
	{Member{"syscalls", "an object: allow, deny (calls and @groups as written), by_argument (calls), deny_write_execute, on_violation, seal"}, func(_ *modelOf, f *sandbox.Profile) value {
		s, by := &f.Syscalls, []string{}
		for _, r := range s.ByArgument {
			by = append(by, r.Name)
		}
		return object(member("allow", textList(s.Allow)), member("deny", textList(s.Deny)), member("by_argument", textList(by)), member("deny_write_execute", yesNo(s.NoWritten)),
			member("on_violation", text(string(s.OnViolation))), member("seal", yesNo(s.Seal)))
	}},
	{Member{"resources", "an object, each in bytes, seconds, thousandths of a processor or a number: " + resourceNames()}, func(_ *modelOf, f *sandbox.Profile) value {
		v := value{kind: kindObject}
		for i, row := range sandbox.ResourceRows {
			v.obj = append(v.obj, member(row.Name, num(f.Resources[i])))
		}
		return v
	}},
	{Member{"init", ""}, func(_ *modelOf, f *sandbox.Profile) value { return yesNo(f.Init) }},
}

func resourceNames() string {
	var out []string
	for _, row := range sandbox.ResourceRows {
		out = append(out, row.Name)
	}
	return strings.Join(out, ", ")
}

// Object is a kind of object that conditions know.
type Object struct {
	Name    string
	Members []Member
}

// Model is the objects of conditions: a service, and its acl, limit and profile.
func Model() []Object {
	return []Object{{"service", membersOf(serviceProps)}, {"acl", membersOf(aclProps)}, {"limit", membersOf(limitProps)}, {"profile", membersOf(profileProps)}}
}

func membersOf[T any](props []prop[T]) (out []Member) {
	for _, p := range props {
		out = append(out, p.Member)
	}
	return out
}
