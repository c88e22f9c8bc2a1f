package importer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/explain"
	"casemate/policy/valid"
)

// groups are those of the user as the host's group(5) has them now.
func groups(x *xinetd, v *xValue) {
	s, a := x.one("groups")
	if a == nil || strings.EqualFold(s, "no") {
		return
	}
	if x.page.group == nil {
		x.lost(a.file, a.line, a.text, `name the host's group file with --group, or write groups = ["..."] in the service`, "the groups of the user are not known: the service has none but its own")
		return
	}
	user, _ := x.one("user")
	for line := range strings.Lines(string(x.page.group)) {
		f := strings.Split(strings.TrimSpace(line), ":") // name, password, number, members
		switch {
		case len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), user) || slices.Contains(x.s.groups, f[0]):
		case f[2] == "0":
			x.lost(a.file, a.line, a.text, "write groups and because in the service, if it needs that", "the group %s is root's, and not carried over", f[0])
		default:
			x.s.groups = append(x.s.groups, f[0])
		}
	}
	slices.Sort(x.s.groups)
	x.note(a.file, a.line, a.text, "", "groups are those that the user %q is in today: when it joins another, write that into the service's groups too", user)
}

func passes(x *xinetd, v *xValue) {
	for _, name := range v.vals {
		if strings.HasPrefix(name, "LISTEN_") || name == "NOTIFY_SOCKET" {
			x.lost(v.line().file, v.line().line, v.line().text, "", "%s is not passed on: it is between casemated and who started it", name)
		} else if !slices.Contains(x.s.passEnv, name) {
			x.s.passEnv = append(x.s.passEnv, name)
		}
	}
	slices.Sort(x.s.passEnv)
}

func nice(x *xinetd, v *xValue) {
	s, a := x.one("nice")
	if a == nil {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		x.off(a, "nice takes a number")
		return
	}
	if n != 0 { // to the kernel too, less or more is the least or the most
		x.s.nice = strconv.Itoa(min(max(n, valid.LeastNice), valid.MostNice))
	}
}

func umask(x *xinetd, v *xValue) {
	s, a := x.one("umask")
	if a == nil {
		return
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		x.off(a, "%q is no umask", s)
		return
	}
	x.s.umask = fmt.Sprintf("%04o", n)
}

func env(x *xinetd, v *xValue) {
	for _, e := range v.vals {
		name, _, ok := strings.Cut(e, "=")
		if i := slices.IndexFunc(x.s.env, func(s string) bool { return strings.HasPrefix(s, name+"=") }); i >= 0 {
			x.s.env = slices.Delete(x.s.env, i, i+1)
		}
		if !ok || name == "" {
			x.off(v.line(), "%q is not NAME=value", e)
			continue
		}
		x.s.env = append(x.s.env, e)
	}
}

// rlimit reads a bound of the profile; most is what profile.server has, 0 is none.
func rlimit(resource string, most int64) func(*xinetd, *xValue) {
	return func(x *xinetd, v *xValue) {
		s, a := x.one(v.line().name)
		if a == nil {
			return
		}
		if strings.EqualFold(s, "UNLIMITED") {
			if most > 0 {
				x.s.widens = true
			}
			x.s.bounds = append(x.s.bounds, resource+` = "unlimited"`)
			return
		}
		n, ok := sized(s)
		if !ok || n == 0 {
			x.off(a, "%q is no number", s)
			return
		}
		x.s.widens = x.s.widens || most > 0 && n > most
		switch resource {
		case "open_files":
			x.s.bounds = append(x.s.bounds, fmt.Sprintf("open_files = %d", n))
		case "cpu_time":
			x.s.bounds = append(x.s.bounds, fmt.Sprintf(`cpu_time = "%ds"`, n))
		default:
			x.s.bounds = append(x.s.bounds, fmt.Sprintf(`%s = %q`, resource, explain.ExactSize(n)))
		}
	}
}

// sized reads a number with K or M behind it.
func sized(s string) (int64, bool) {
	unit := int64(1)
	switch {
	case strings.HasSuffix(strings.ToUpper(s), "K"):
		unit, s = 1<<10, s[:len(s)-1]
	case strings.HasSuffix(strings.ToUpper(s), "M"):
		unit, s = 1<<20, s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err == nil && n >= 0 && n < math.MaxInt64/unit
}
