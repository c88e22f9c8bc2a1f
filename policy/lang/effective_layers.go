package lang

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/explain"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/resource"
)

// network writes the block, mode always: everybody asks for it first.
func (e *effective) network() {
	n := &e.p.Network
	e.line("mode", quote(string(n.Mode)), "network.mode")
	for _, l := range []struct {
		name  string
		ports []uint16
	}{{"connect", n.Connect}, {"bind", n.Bind}} {
		if words := explain.Ports(l.ports); len(words) > 0 {
			e.line(l.name, "["+quoted(words)+"]", "network."+l.name+".0")
		}
	}
	if !e.twoBlocks {
		e.socketLine()
	}
}

// sockets are the kinds that the network block granted: without syscalls in widens nothing
// else can have.
func (e *effective) sockets() (out []string) {
	if slices.Contains(e.announced(), "syscalls") {
		return nil
	}
	n, allow := &e.p.Network, e.p.Syscalls.Allow
	for _, word := range sortedKeys(socketWords) {
		if word == "tcp" && n.Mode == sandbox.NetworkHost && len(n.Connect)+len(n.Bind) > 0 && (len(n.Connect) > 0 || !slices.Contains(allow, "connect")) {
			continue // the ports have brought it, and said again here it would bring connect
		}
		if g := socketWords[word]; slices.Contains(allow, g) && !slices.Contains(e.base.Syscalls.Allow, g) {
			out = append(out, word)
		}
	}
	return out
}

func (e *effective) socketLine() {
	if words := e.sockets(); len(words) > 0 {
		i := slices.Index(e.p.Syscalls.Allow, socketWords[words[0]])
		e.line("sockets", "["+quoted(words)+"]", fmt.Sprintf("syscalls.allow.%d", i))
	}
}

func (e *effective) files() {
	f, base := &e.p.Files, &e.base.Files
	for kind, paths := range f.Paths {
		e.list(kind, "files."+kind, paths, nil)
	}
	e.list("optional", "files.optional", f.Optional, nil)
	if len(f.Map) > 0 {
		inner := sortedKeys(f.Map)
		e.attribute("map", "{", e.comment("files.map."+inner[0]))
		for _, inside := range inner {
			e.line(quote(inside), quote(f.Map[inside]), "files.map."+inside)
		}
		e.b.WriteString("}\n")
	}
	for _, s := range []struct {
		name string
		size int64
	}{{"tmp", f.Tmp}, {"shm", f.Shm}} {
		if s.size > 0 {
			e.line(s.name, quote(explain.ExactSize(s.size)), "files."+s.name)
		}
	}
	e.flag("state", "files.state", f.State, base.State)
	e.flag("log", "files.log", f.Log, base.Log)
	if f.HostProc {
		e.line("proc", `"host"`, "files.proc")
	} else {
		e.flag("proc", "files.proc", f.Proc, base.Proc)
	}
	e.flag("pty", "files.pty", f.Pty, base.Pty)
	e.list("dev", "files.dev", f.Dev, nil)
}

func (e *effective) syscalls() {
	s := &e.p.Syscalls
	e.flag(noWrittenRow.Name, "syscalls."+noWrittenRow.Name, s.NoWritten, e.base.Syscalls.NoWritten)
	e.list("allow", "syscalls.allow", s.Allow, nil)
	e.list("deny", "syscalls.deny", s.Deny, nil)
	e.line("on_violation", quote(string(s.OnViolation)), "syscalls.on_violation")
	e.flag("seal", "syscalls.seal", s.Seal, e.base.Syscalls.Seal)
	for i, r := range s.ByArgument {
		if slices.ContainsFunc(e.base.Syscalls.ByArgument, func(b sandbox.SyscallRule) bool { return reflect.DeepEqual(b, r) }) {
			fmt.Fprintf(&e.b, "# and of profile.%s the rule for %s\n", e.base.Name, r.Name) // rules add up: said again, it would be there twice
			continue
		}
		fmt.Fprintf(&e.b, "\nrule %s {%s\n", quote(r.Name), e.comment(fmt.Sprintf("syscalls.rules.%d", i)))
		e.attribute("arg", strconv.Itoa(int(r.Arg)), "")
		if r.Mask != 0 {
			e.attribute("mask", fmt.Sprintf("\"%#x\"", r.Mask), "")
		}
		var values []string
		for _, v := range r.Values {
			values = append(values, fmt.Sprintf("%q", fmt.Sprintf("%#x", v)))
		}
		e.attribute("values", "["+strings.Join(values, ", ")+"]", "")
		e.b.WriteString("}\n")
	}
}

// resources writes each limit, and "unlimited" where the base has one that is lifted.
func (e *effective) resources() {
	for i, row := range sandbox.ResourceRows {
		n := e.p.Resources[i]
		value := ""
		switch {
		case n == 0 && e.base.Resources[i] == 0:
			continue
		case n == 0:
			value = quote("unlimited")
		case resource.Rows[i].Unit == resource.Bytes:
			value = quote(explain.ExactSize(n))
		case resource.Rows[i].Unit == resource.Count:
			value = strconv.FormatInt(n, 10)
		default:
			value = quote(units[resource.Rows[i].Unit].show(n))
		}
		e.line(row.Name, value, "resources."+row.Name)
	}
}

func (e *effective) processor() {
	p, base := &e.p.Processor, &e.base.Processor
	for i, v := range [][2]string{{p.StoreBypass, base.StoreBypass}, {p.IndirectBranch, base.IndirectBranch}, {p.Core, base.Core}} {
		if v != [2]string{} {
			e.line(valid.Kept[i].Name, quote(cmp.Or(v[0], valid.Kept[i].Words[0])), "processor."+valid.Kept[i].Name)
		}
	}
}
