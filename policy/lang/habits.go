package lang

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// What people write out of habit from other programs and languages, and the
// word or form that has its place here.

// foreignWords are the attributes of xinetd.conf(5), inetd.conf(5) and
// systemd.socket(5) that have another name here.
var foreignWords = map[string]string{
	"only_from":      `an acl: acl "NAME" { allow { from = [...] } }, and acl = acl.NAME`,
	"no_access":      `an acl: acl "NAME" { deny { from = [...] } }, and acl = acl.NAME`,
	"instances":      `a limit: limit "NAME" { concurrent = 64 }, and limit = limit.NAME`,
	"cps":            `a limit: limit "NAME" { rate = "50/s"  burst = 100 }, and limit = limit.NAME`,
	"per_source":     `a limit: limit "NAME" { per_source { concurrent = 4 } }, and limit = limit.NAME`,
	"server":         `command = ["/path/of/program", "argument"]`,
	"server_args":    `the arguments behind the program: command = ["/path/of/program", "argument"]`,
	"socket_type":    `the network of the address: listen = ["tcp://:79"] or ["udp://:69"]`,
	"protocol":       `the network of the address: listen = ["tcp://:79"] or ["udp://:69"]`,
	"port":           `the port of the address: listen = ["tcp://:79"]`,
	"bind":           `the address: listen = ["tcp://192.0.2.1:79"]`,
	"interface":      `the address: listen = ["tcp://192.0.2.1:79"]; or socket { interface = "eth0" }`,
	"disable":        "disable = true in the service",
	"flags":          `what they mean, in the service: socket { keepalive = "2m"  nodelay = true }, retry = true`,
	"rlimit_as":      `a profile: profile "NAME" { resources { address_space = "64MiB" } }`,
	"rlimit_cpu":     `a profile: profile "NAME" { resources { cpu_time = "10s" } }`,
	"banner_fail":    `banner = "try later", or { file = "later.banner" }; what xinetd calls banner is banner_accept`,
	"nowait":         "wait = false, which is the default",
	"passenv":        `pass_env = ["TZ"]`,
	"oom_score_adj":  `oom_score = 500`,
	"access_times":   `an acl: acl "NAME" { zone = "Europe/Berlin"  allow { from = [...]  during = ["08:00-18:00"] } }, and acl = acl.NAME`,
	"max_load":       `a limit: limit "NAME" { max_load = "4.0" }, and limit = limit.NAME`,
	"answers":        `a limit: limit "NAME" { responses = "200/s" }, and limit = limit.NAME`,
	"chroot":         "nothing: the program sees only what files { read, exec, write } of its profile name",
	"timeout":        `a limit: limit "NAME" { session = "10m" }, and limit = limit.NAME; or idle = "5m" in the service`,
	"cwd":            `dir = "/srv"`,
	"directory":      `dir = "/srv"`,
	"environment":    `env = { NAME = "value" }`,
	"allow":          `an acl: acl "NAME" { allow { from = [...] } }, and acl = acl.NAME`,
	"deny":           `an acl: acl "NAME" { deny { from = [...] } }, and acl = acl.NAME`,
	"type":           `builtin = "echo" for what casemate serves itself, and nothing for a program`,
	"id":             "nothing: the block's label is the service's name",
	"libwrap":        `an acl: acl "NAME" { allow { from = [...] } }, and acl = acl.NAME`,
	"deny_time":      `a penalty: limit "NAME" { penalty { on = ["crash"]  first = "90s"  max = "10m" } }`,
	"log_type":       "nothing: casemated --log says where its log goes",
	"log_on_success": "nothing: every session has its record",
	"log_on_failure": "nothing: every refusal has its record",
	"rule":           `the verdict: allow { from = [...] } or deny { from = [...] }`,
	"network":        `network { mode = "host" }`,
	"ports":          `network { mode = "host"  connect = ["https"]  bind = ["8000-8010"] }`,
	"backlog":        "socket { backlog = 128 }",
	"prefix":         "ipv4_prefix = 32 and ipv6_prefix = 64",
	"include":        "the files' names on the command line: several paths are one policy",
}

// unknownName is the next step for an attribute or block that a kind of block
// does not have.
func unknownName(name string, known []string) string {
	if w, ok := foreignWords[name]; ok {
		return "write " + w
	}
	if where := stands(blocks(), "", name); where != "" {
		return fmt.Sprintf("%s stands in another block: %s", name, where)
	}
	return didYouMean(name, known, "")
}

// blocks is Reference, which the tables that it shows are made with.
var blocks func() []Block

func init() { blocks = sync.OnceValue(Reference) }

// stands is where in a policy the language has an attribute or a block of that name.
func stands(list []Block, around, name string) string {
	for i := range list {
		b := &list[i]
		open, end := around+b.Name+" { ", strings.Repeat(" }", strings.Count(around, "{")+1)
		if b.Name == name && around != "" {
			return open + "..." + end
		}
		for _, a := range b.Attributes {
			if a.Name == name {
				return open + a.write() + end
			}
		}
		if found := stands(b.Blocks, open, name); found != "" {
			return found
		}
	}
	return ""
}

// truths are other languages' words for true and false.
var truths = map[string]string{"yes": "true", "on": "true", "no": "false", "off": "false"}

// text is the source of a range.
func (c *compiler) text(rng hcl.Range) string {
	src := c.sources[rng.Filename]
	if rng.Start.Byte < 0 || rng.End.Byte > len(src) || rng.Start.Byte > rng.End.Byte {
		return ""
	}
	return string(src[rng.Start.Byte:rng.End.Byte])
}

// instead is what to write for a value of the wrong type: the value itself in
// the right one, or else the example.
func (c *compiler) instead(v value, want kind, example string) string {
	switch {
	case want == kindNumber && v.kind == kindString && v.s != "" && len(v.s) <= maxDigits && strings.Trim(v.s, "0123456789") == "":
		return v.s
	case want == kindString && v.kind == kindNumber:
		return `"` + v.text() + `"`
	case want == kindBool && v.kind == kindString && truths[v.s] != "":
		return truths[v.s]
	case want == kindList && v.scalar():
		return listOf(v.text())
	}
	return example
}

// listOf is a text as a list: of its words, unless a shell would have to take it apart.
func listOf(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(words) < 2 || strings.ContainsAny(s, "'\"\\|&;<>$`*?") {
		return fmt.Sprintf("[%q]", s)
	}
	return `["` + strings.Join(words, `", "`) + `"]`
}

var (
	bareAddress = expression(`\b(tcp|udp)[46]?://[^\s,\]"]*|\bunix(gram|packet)?:[^\s,\]"]+`)
	bareInclude = expression(`^\s*include\b`)
)

// syntaxHint is a better next step than the parser's own, or "".
func (c *compiler) syntaxHint(rng hcl.Range) string {
	src := c.sources[rng.Filename]
	start := min(max(rng.Start.Byte, 0), len(src))
	line := src[bytes.LastIndexByte(src[:start], '\n')+1:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if m := bareAddress().FindString(string(line)); m != "" && !strings.Contains(string(line), `"`+m) {
		return fmt.Sprintf("write the address in quotes: %q", m)
	}
	if hint := pasted(string(line)); hint != "" {
		return hint
	}
	if bareInclude().Match(line) {
		return "there is no include: write " + foreignWords["include"]
	}
	return ""
}
