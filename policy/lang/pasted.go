package lang

import (
	"fmt"
	"path"
	"strings"
)

// Lines of other files, and of this language with something left out.
var (
	inetdLine = expression(`^\s*(\S+)\s+(stream|dgram)\s+((?:tcp|udp)[46]?)\s+(no)?wait\S*\s+([^\s.:]+)(?:[.:](\S+))?\s+(\S+)\s*(.*)$`)
	bareBlock = expression(`^\s*(service|acl|limit|profile)\s+"?([a-z][a-z0-9_-]*)"?\s*$`)
	loneBrace = expression(`^\s*\{`)
	noEquals  = expression(`^\s*([a-z_]+)\s+(\[.*\]|"[^"]*"|[0-9]+|true|false)\s*$`)
	bareText  = expression(`^\s*([a-z_]+)\s*\+?=\s*([^\s"\[{(].*)$`)
	bareHost  = expression(`^[^"#]*[\[=,]\s*([0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:[:/][0-9]+)?)`)
	bareWord  = expression(`^[/0-9A-Za-z][^\s"\[\](){}?*!<>=&|+]*$`)
)

// pasted is the step for a line that is not of this language, or "".
func pasted(line string) string {
	if m := inetdLine().FindStringSubmatch(line); m != nil {
		return "write " + entry(m)
	}
	if m := bareBlock().FindStringSubmatch(line); m != nil {
		return fmt.Sprintf("write %s %q {, with the brace on the same line", m[1], m[2])
	}
	if loneBrace().MatchString(line) {
		return `put the brace on the line of the block: service "NAME" {`
	}
	if m := noEquals().FindStringSubmatch(line); m != nil && m[1] != "include" {
		return fmt.Sprintf("write %s = %s", m[1], m[2])
	}
	if m := bareText().FindStringSubmatch(line); m != nil {
		if w, ok := foreignWords[m[1]]; ok {
			return "write " + w
		}
	}
	if m := bareHost().FindStringSubmatch(line); m != nil {
		if at := meantListen(m[1]); strings.Contains(m[1], ":") && at != "" {
			return fmt.Sprintf("write the address in quotes: %q", at)
		}
		return fmt.Sprintf("write the address in quotes: %q", m[1])
	}
	if m := bareText().FindStringSubmatch(line); m != nil {
		if word := strings.TrimSpace(m[2]); bareWord().MatchString(word) && strings.ContainsAny(word, "/:.%") {
			return fmt.Sprintf("write %s = %q", m[1], word)
		}
	}
	return ""
}

// entry is a line of inetd.conf(5) as a service.
func entry(m []string) string {
	port, network, nowait, user, group, program, args := m[1], m[3], m[4], m[5], m[6], m[7], strings.Fields(m[8])
	at := network + "://:" + port
	if i := strings.LastIndexByte(port, ':'); i >= 0 {
		at = network + "://" + port[:i] + ":" + port[i+1:]
		port = port[i+1:]
	}
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, port))
	if name[0] < 'a' {
		name = "port-" + name
	}
	if program == "internal" {
		return fmt.Sprintf("service %q { on lines of their own: listen = [%q], builtin = %q, acl = acl.anyone }", name, at, port)
	}
	words := []string{program}
	if path.Base(program) == "tcpd" && len(args) > 0 { // the acl is in its place
		words[0] = args[0]
	}
	if len(args) > 0 {
		words = append(words, args[1:]...) // the first is argv[0]
	}
	text := fmt.Sprintf("service %q { on lines of their own: listen = [%q], command = [\"%s\"], user = %q", name, at, strings.Join(words, `", "`), user)
	if group != "" {
		text += fmt.Sprintf(", group = %q", group)
	}
	if nowait == "" {
		text += ", wait = true"
	}
	return text + ", acl = acl.anyone or one of your own }"
}
