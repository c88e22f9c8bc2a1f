package lang

import (
	"fmt"
	"slices"
	"time"

	"casemate/listener/address"
	"casemate/policy"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What a service has when it does not say otherwise.
const (
	defaultLinger = 60 * time.Second
	defaultUmask  = 0o077
)

// defaultEnvStyle is sorted, as the policy's lists are.
var defaultEnvStyle = []string{"systemd", "ucspi"}

// serviceBlock compiles service "NAME" { ... }. What the attributes mean
// together is for Validate to judge.
func (c *compiler) serviceBlock(name string, syn *hclsyntax.Block) policy.Service {
	b := c.open(syn, "services."+name, []string{"listen", "command", "builtin", "user", "group", "groups", "because", "acl", "limit",
		"profile", "wait", "stdio", "env", "env_style", "dir", "umask", "banner", "linger", "retry"}, "socket")
	c.put(b.path+".name", syn.LabelRanges[0])
	s := policy.Service{Name: name, Stdio: "socket", Dir: "/", Umask: defaultUmask, Linger: defaultLinger}
	b.missing("listen", `write listen = ["tcp://:7979"]`)
	b.listen(&s)
	b.program(&s)
	b.identity(&s)
	b.references(&s)
	b.environment(&s)
	return s
}

// program reads command or builtin, wait and stdio. The worker of a builtin
// always takes the listening sockets over.
func (b *block) program(s *policy.Service) {
	if items, ok := b.strs("command", "command"); ok {
		s.Command = texts(items)
	}
	s.Builtin, _ = b.str("builtin", "builtin")
	s.Wait, _ = b.boolean("wait", "wait")
	if v, ok := b.str("stdio", "stdio"); ok {
		s.Stdio = v
	}
	if s.Builtin == "" {
		return
	}
	for _, name := range []string{"wait", "stdio", "dir", "env", "env_style", "umask"} {
		if a := b.syn.Body.Attributes[name]; a != nil {
			b.c.report(codeMeaning, a.NameRange, "remove "+name, "a builtin has no %s: casemate-worker serves it", name)
		}
	}
	s.Wait, s.Stdio = true, "listen_fds"
}

func (b *block) identity(s *policy.Service) {
	s.User, _ = b.account("user", "user")
	if s.Builtin != "" && b.syn.Body.Attributes["user"] == nil {
		s.User = "dynamic"
	} else {
		b.missing("user", `write user = "nobody", or user = "dynamic" for a leased uid`)
	}
	s.Group, _ = b.account("group", "group")
	s.Groups, _ = b.words("groups", "groups")
	s.Because, _ = b.str("because", "because")
}

// account reads a name or a number of a user or group.
func (b *block) account(name, path string) (string, bool) {
	v, ok := b.attr(name, path)
	if ok && v.kind != kindString && v.kind != kindNumber {
		b.c.report(codeType, v.rng, "write "+name+` = "nobody"`, "%s must be a name or a number, not %s", name, v.describe())
		return "", false
	}
	return v.text(), ok
}

// references reads acl, limit and profile. A missing acl admits nobody, a
// missing limit is a modest one, a missing profile the narrowest.
func (b *block) references(s *policy.Service) {
	s.ACL, _, _ = b.reference("acl", kindACL, "acl")
	s.Limit, s.Profile = "default", "strict"
	switch {
	case s.Builtin != "":
		s.Profile = "builtin"
	case s.Wait:
		s.Limit = "wait"
	}
	if name, _, ok := b.reference("limit", kindLimit, "limit"); ok {
		s.Limit = name
	}
	if name, _, ok := b.reference("profile", kindProfile, "profile"); ok {
		s.Profile = name
	}
}

func (b *block) environment(s *policy.Service) {
	if v, ok := b.typed("env", "env", kindObject, `{ TZ = "UTC" }`); ok && b.c.spend(v.rng, 64*len(v.obj)) {
		s.Env = make(map[string]string, len(v.obj))
		for _, f := range v.obj {
			if !f.val.scalar() {
				b.c.report(codeType, f.val.rng, "write a string", "env: %s cannot be %s", clip(f.name), f.val.describe())
			}
			s.Env[f.name] = f.val.text()
			b.c.put(b.join("env."+f.name), f.val.rng)
		}
	}
	if words, ok := b.words("env_style", "env_style"); ok {
		s.EnvStyle = words // [] is no facts at all
	} else if s.Builtin == "" {
		s.EnvStyle = slices.Clone(defaultEnvStyle)
	}
	if v, ok := b.str("dir", "dir"); ok {
		s.Dir = v
	}
	if v, ok := unit(b, "umask", "umask", "0027", parseMode); ok {
		s.Umask = v
	}
	s.Banner, _ = b.str("banner", "banner")
	if d, ok := b.duration("linger", "linger_ns", "60s"); ok {
		s.Linger = d
	}
	s.Retry, _ = b.boolean("retry", "retry")
}

// badValue is a value that cannot be read, and one step that repairs it.
type badValue struct{ summary, next string }

// Error is what is wrong; unit shows next beside it.
func (b *badValue) Error() string { return b.summary }

func bad(next, format string, args ...any) *badValue {
	return &badValue{summary: clip(fmt.Sprintf(format, args...)), next: next}
}

// portsOf reads a port: a number, a name, a range, or "any" (0).
func portsOf(v value) (first, last uint16, wrong *badValue) {
	switch {
	case v.kind == kindString && v.s == "any":
		return 0, 0, nil
	case v.kind == kindString:
		first, last, bad := address.ParsePorts(v.s, namedPort)
		if bad != nil {
			return 0, 0, &badValue{clip(bad.Summary), portHint(v.s, bad.Next)}
		}
		return first, last, nil
	case v.kind != kindNumber || v.n < 1 || v.n > 65535:
		return 0, 0, bad(`write a number from 1 to 65535, a name, a range ("8000-8010") or "any"`, "%s is not a port", v.describe())
	}
	return uint16(v.n), uint16(v.n), nil
}
