package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/listener/endpoint"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/sandbox"
)

// sign puts a line where it belongs: more, less, or neither.
func (d *Dimension) sign(line string, by int) {
	switch {
	case by > 0:
		d.More = append(d.More, line)
	case by < 0:
		d.Less = append(d.Less, line)
	}
}

// set compares two sets of words.
func (d *Dimension) set(prefix string, was, is []string) {
	for _, w := range is {
		if !slices.Contains(was, w) {
			d.More = append(d.More, prefix+w)
		}
	}
	for _, w := range was {
		if !slices.Contains(is, w) {
			d.Less = append(d.Less, prefix+w)
		}
	}
}

// differing adds a value to list where it is another.
func differing[T comparable](list *[]string, name string, was, is T) {
	if was != is {
		*list = append(*list, fmt.Sprintf("%s %s, was %s", name, worded(is), worded(was)))
	}
}

func worded[T any](v T) string {
	if text := fmt.Sprint(v); text != "" {
		return text
	}
	return "none"
}

// offered is an endpoint that a service listens at, with what its socket may do.
type offered struct {
	endpoint.Endpoint
	listen string
}

func endpoints(s *policy.Service) (out []offered) {
	if s == nil {
		return nil
	}
	for _, l := range s.Listen {
		for _, e := range s.Endpoints(l) {
			out = append(out, offered{e, l.String()})
		}
	}
	for _, name := range s.Mux {
		out = append(out, offered{endpoint.Endpoint{Network: "tcpmux", Path: strings.TrimPrefix(name, "+")}, "tcpmux:" + name})
	}
	return out
}

// covers tells whether whoever comes to o would come to e as well.
func (e *offered) covers(o *offered) bool {
	if e.Network != o.Network || e.Path != o.Path || e.Addr.Port() != o.Addr.Port() || e.Interface != "" && e.Interface != o.Interface {
		return false
	}
	return e.Addr.Addr() == o.Addr.Addr() || e.Addr.IsValid() && e.Addr.Addr().IsUnspecified()
}

// listeners compares where clients come to.
func listeners(a, b *policy.Service) Dimension {
	d := Dimension{Name: "listeners"}
	beyond := func(list, without []offered) (out []string) {
		for i := range list {
			e := &list[i]
			if !slices.ContainsFunc(without, func(o offered) bool { return o.covers(e) }) && !slices.Contains(out, e.listen) {
				out = append(out, e.listen)
			}
		}
		return out
	}
	was, is := endpoints(a), endpoints(b)
	d.More, d.Less = beyond(is, was), beyond(was, is)
	if a == nil || b == nil {
		return d
	}
	for _, name := range b.Mux { // who says the + of tcpmux grants nothing
		if bare, said := strings.CutPrefix(name, "+"); !slices.Contains(a.Mux, name) && (said && slices.Contains(a.Mux, bare) || slices.Contains(a.Mux, "+"+name)) {
			d.Changed = append(d.Changed, "tcpmux:"+name+" says its + otherwise")
		}
	}
	x, y := &a.Socket, &b.Socket
	for _, v := range []struct {
		name    string
		was, is bool
	}{{"freebind: an address that the host does not have yet", x.Freebind, y.Freebind}, {"transparent: addresses that are not the host's", x.Transparent, y.Transparent}} {
		d.sign(v.name, bit(v.is)-bit(v.was))
	}
	if x.Mode != y.Mode {
		line := fmt.Sprintf("socket mode %04o, was %04o", y.Mode, x.Mode)
		switch more, less := y.Mode&^x.Mode, x.Mode&^y.Mode; {
		case x.Mode == 0 || y.Mode == 0 || more != 0 && less != 0:
			d.Differs = append(d.Differs, line)
		default:
			d.sign(line, bit(more != 0)-bit(less != 0))
		}
	}
	differing(&d.Differs, "socket owner", x.Owner, y.Owner)
	differing(&d.Differs, "socket group", x.Group, y.Group)
	differing(&d.Differs, "mark", x.Mark, y.Mark)
	return d
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// runs says what serves the clients.
func runs(s *policy.Service) string {
	switch {
	case s.Builtin != "":
		return "builtin " + s.Builtin
	case s.Redirects():
		return "a relay to " + explain.Target(s)
	}
	return strings.Join(s.Command, " ")
}

// command compares what is run for a client, and with what: another program is neither more nor less.
func (d *Dimension) command(a, b *policy.Service) {
	differing(&d.Differs, "runs", runs(a), runs(b))
	differing(&d.Differs, "argv[0]", a.Argv0, b.Argv0)
	differing(&d.Differs, "proxy_protocol", a.ProxyProtocol, b.ProxyProtocol)
	differing(&d.Differs, "wait", a.Wait, b.Wait)
	differing(&d.Differs, "stdio", a.Stdio, b.Stdio)
	differing(&d.Differs, "stdout", a.Stdout, b.Stdout)
	differing(&d.Differs, "fd_names", strings.Join(a.FDNames, " "), strings.Join(b.FDNames, " "))
	differing(&d.Differs, "dir", a.Dir, b.Dir)
	for _, name := range slices.Sorted(maps.Keys(b.Env)) {
		if was, ok := a.Env[name]; !ok || was != b.Env[name] {
			d.Differs = append(d.Differs, fmt.Sprintf("env %s=%s", name, b.Env[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		if _, ok := b.Env[name]; !ok {
			d.Differs = append(d.Differs, "env no longer "+name)
		}
	}
	if x, y := slices.Sorted(slices.Values(a.EnvStyle)), slices.Sorted(slices.Values(b.EnvStyle)); !slices.Equal(x, y) {
		d.Differs = append(d.Differs, fmt.Sprintf("env_style %s, was %s", worded(strings.Join(y, " ")), worded(strings.Join(x, " "))))
	}
	d.set("pass_env ", a.PassEnv, b.PassEnv)
	if a.Umask != b.Umask {
		line := fmt.Sprintf("umask %04o, was %04o", b.Umask, a.Umask)
		switch more, less := a.Umask&^b.Umask, b.Umask&^a.Umask; {
		case more != 0 && less != 0:
			d.Differs = append(d.Differs, line)
		default:
			d.sign(line, bit(more != 0)-bit(less != 0))
		}
	}
	d.sign("amplify: a datagram may be answered with more than it holds", bit(b.Amplify)-bit(a.Amplify))
	differing(&d.Changed, "says", strings.Join(a.Says, ""), strings.Join(b.Says, ""))
}

// overrides is what lets root at the files of others.
const overrides = "CAP_DAC_OVERRIDE"

// identity compares whom the program runs as, under the profiles f and g: a leased user is less than a fixed one, and that less than root. Of
// two fixed ones nobody knows what each may do, nor of one and of root as far as that may not touch what others own.
func identity(a, b *policy.Service, f, g *sandbox.Profile) Dimension {
	d := Dimension{Name: "identity"}
	rank := func(u policy.Account) int {
		switch u {
		case policy.Dynamic:
			return 0
		case "root", "0":
			return 2
		}
		return 1
	}
	if a.User != b.User {
		line := fmt.Sprintf("user %s, was %s", b.User, a.User)
		if x, y := rank(a.User), rank(b.User); x == y && x == 1 {
			d.Differs = append(d.Differs, line)
		} else {
			d.sign(line, y-x)
			fixed, root := a, g
			if x == 2 {
				fixed, root = b, f
			}
			if x != 0 && y != 0 && (root == nil || !slices.Contains(root.Capabilities, overrides)) {
				d.Differs = append(d.Differs, fmt.Sprintf("what %s alone may touch: root may not, without %s", fixed.User, overrides))
			}
		}
	}
	differing(&d.Differs, "group", accountWord(a.Group), accountWord(b.Group)) // root's can do nothing that another cannot
	d.set("group ", a.Groups, b.Groups)
	return d
}

func accountWord(g policy.Account) string {
	if g == "" {
		return "of the user"
	}
	return string(g)
}

// other is what grants nothing to clients or to the program, but for what the host has to keep for them: who goes first, and how long
// something is held. What is written down is neither more nor less: of fewer records nobody learns what was done, and more of them
// keep more of who the clients are.
func other(a, b *policy.Service) Dimension {
	d := Dimension{Name: "other"}
	differing(&d.Differs, "log", a.Log, b.Log)
	for _, v := range [][3]string{{"banner", a.Banner, b.Banner}, {"banner_accept", a.BannerAccept, b.BannerAccept}, {"banner_success", a.BannerSuccess, b.BannerSuccess}} {
		if v[1] != v[2] {
			d.Changed = append(d.Changed, fmt.Sprintf("%s %q, was %q", v[0], v[2], v[1]))
		}
	}
	if a.KeepSocket != b.KeepSocket { // a descriptor, and the connection with it, until the session ends
		d.sign(fmt.Sprintf("keep_socket %v, was %v", b.KeepSocket, a.KeepSocket), bit(b.KeepSocket)-bit(a.KeepSocket))
	}
	if a.Linger != b.Linger { // an idle zygote, with its memory and its sandbox
		d.sign(fmt.Sprintf("linger %s, was %s", explain.FormatDuration(b.Linger), explain.FormatDuration(a.Linger)), cmp.Compare(b.Linger, a.Linger))
	}
	differing(&d.Changed, "refuse", a.Refuse, b.Refuse)
	differing(&d.Changed, "retry", a.Retry, b.Retry)
	d.precedence(a, b)
	d.kept(&a.Socket, &b.Socket)
	x, y := &a.Socket, &b.Socket
	differing(&d.Changed, "keepalive", x.Keepalive, y.Keepalive)
	differing(&d.Changed, "nodelay", x.NoDelay, y.NoDelay)
	differing(&d.Changed, "tos", x.TOS, y.TOS)
	differing(&d.Changed, "because", a.Because, b.Because)
	return d
}

// unsaidOOM is what a service without an oom_score has where casemated has none of its own: 100 more.
const unsaidOOM = 100

// precedence compares who goes first where processors or memory are short: a lower nice takes from the others, and of a lower oom_score
// another one is killed.
func (d *Dimension) precedence(a, b *policy.Service) {
	d.sign(fmt.Sprintf("nice %d, was %d", b.Nice, a.Nice), a.Nice-b.Nice)
	text := func(n int) string {
		if n == 0 {
			return "none"
		}
		return strconv.Itoa(n)
	}
	line := fmt.Sprintf("oom_score %s, was %s", text(b.OOMScore), text(a.OOMScore))
	if by := cmp.Or(a.OOMScore, unsaidOOM) - cmp.Or(b.OOMScore, unsaidOOM); by != 0 {
		d.sign(line, by)
	} else if a.OOMScore != b.OOMScore {
		d.Changed = append(d.Changed, line)
	}
}

// kept compares what the host's kernel keeps for clients, and whose packets it sends first. A backlog of 0 is the longest that there is,
// and a buffer of 0 as the host has it, which is more or less than any number.
func (d *Dimension) kept(was, is *policy.Socket) {
	d.amounts("backlog", int64(was.Backlog), int64(is.Backlog), decimal)
	for _, b := range []struct {
		name    string
		was, is uint32
	}{{"send_buffer", was.SendBuffer, is.SendBuffer}, {"receive_buffer", was.ReceiveBuffer, is.ReceiveBuffer}} {
		text := func(n uint32) string {
			if n == 0 {
				return "the host's"
			}
			return explain.FormatSize(int64(n))
		}
		if line := fmt.Sprintf("%s %s, was %s", b.name, text(b.is), text(b.was)); b.was != b.is && (b.was == 0 || b.is == 0) {
			d.Differs = append(d.Differs, line)
		} else {
			d.sign(line, cmp.Compare(b.is, b.was))
		}
	}
	d.sign(fmt.Sprintf("priority %d, was %d", is.Priority, was.Priority), cmp.Compare(is.Priority, was.Priority))
}

// amounts compares numbers, of which 0 is no limit.
func (d *Dimension) amounts(name string, was, is int64, show func(int64) string) {
	if was == is {
		return
	}
	text := func(n int64) string {
		if n == 0 {
			return "unlimited"
		}
		return show(n)
	}
	by := 1
	if is != 0 && (was == 0 || is < was) {
		by = -1
	}
	d.sign(fmt.Sprintf("%s %s, was %s", name, text(is), text(was)), by)
}

// rates compares rates with their bursts.
func (d *Dimension) rates(name string, was, is limit.Rate, burst, now int) {
	text := func(r limit.Rate) string {
		if r.Events == 0 {
			return "unlimited"
		}
		return explain.FormatRate(r)
	}
	line := fmt.Sprintf("%srate %s, was %s", name, text(is), text(was))
	switch {
	case was.Events == 0 && is.Events == 0:
		return
	case is.Events == 0:
		d.More = append(d.More, line)
		return
	case was.Events == 0:
		d.Less = append(d.Less, line)
		return
	}
	d.sign(line, responses.Faster(is, was))
	if burst != now {
		d.sign(fmt.Sprintf("%sburst %d, was %d", name, now, burst), now-burst)
	}
}
