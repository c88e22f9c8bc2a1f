package learn

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate/sandbox"
	"casemate/sandbox/resource"
)

// block is what to write into a profile, as HCL: a block or, with name "", attributes. What it widens
// in a layer ("" is nothing) and what needs a reason stands before it.
func (c *Confines) block(layer, name string, attrs ...string) string {
	p := c.Profile
	var out []string
	if layer != "" {
		widens := append([]string{layer}, p.Widens...)
		slices.Sort(widens)
		out = append(out, fmt.Sprintf(`widens = ["%s"]`, strings.Join(slices.Compact(widens), `", "`)))
	}
	if reason := layer == "capabilities" || slices.Contains(attrs, hostMode); reason && p.Because == "" {
		out = append(out, `because = "..."`)
	}
	switch {
	case name == "":
		out = append(out, attrs...)
	case len(attrs) == 1 && !strings.Contains(attrs[0], " # "):
		out = append(out, name+" { "+attrs[0]+" }")
	default:
		out = append(out, name+" {\n  "+strings.Join(attrs, "\n  ")+"\n}")
	}
	return strings.Join(out, "\n")
}

const hostMode = `mode = "host"`

// network is block for the host's network, with its mode where the profile does not have it. A network of
// its own has all sockets that its words name.
func (c *Confines) network(attrs ...string) string {
	mode := c.Profile.Network.Mode
	if mode != sandbox.NetworkHost && !(mode == sandbox.NetworkPrivate && strings.HasPrefix(attrs[0], "sockets")) {
		attrs = append([]string{hostMode}, attrs...)
	}
	return c.block("network", "network", attrs...)
}

// show is block for a path in a list of files. Of those that a sandbox has of its own there is no list.
func (c *Confines) show(list, p string) string {
	switch {
	case !utf8.ValidString(p) || !path.IsAbs(p):
		return "no attribute: no policy can write this path"
	case under(p, "/tmp"):
		return c.tmp()
	case inAny(own, p), path.Clean(p) == "/":
		return "no attribute: the sandbox has a " + Quote(p) + " of its own"
	}
	for has, paths := range c.Profile.Files.Paths {
		if slices.Contains(paths, p) && "files."+has != list {
			return fmt.Sprintf("no attribute beside the profile's: it has %q in its list %s, and a path stands in one list; name what lies in it", p, has)
		}
	}
	layer := "files"
	if list == AttrRead {
		layer = ""
	}
	return c.block(layer, "files", fmt.Sprintf("%s = [%s]", strings.TrimPrefix(list, "files."), Quote(p)))
}

// tmp is block for a /tmp, or one of twice the size.
func (c *Confines) tmp() string {
	if had := c.Profile.Files.Tmp; had > 0 {
		return c.block("", "files", doubled("tmp", had))
	}
	return c.block("", "files", `tmp = "16MiB"`)
}

func doubled(attr string, had int64) string {
	return fmt.Sprintf("%s = %q # now %s = %q", attr, size(2*had), attr, size(had))
}

// raise is block for twice those of some limits that the profile has: which of them it was, no error tells.
func (c *Confines) raise(limits ...sandbox.Resource) string {
	var attrs []string
	for _, r := range limits {
		if had := c.Profile.Resources[r]; had > 0 {
			twice, now := Twice(r, had)
			attrs = append(attrs, twice+" # now "+now)
		}
	}
	if len(attrs) == 0 {
		return ownLimit
	}
	return c.block("resources", "resources", attrs...)
}

// ownLimit is the remedy of what no limit of a profile's can have refused.
const ownLimit = "no attribute: it is the host's own limit"

// Twice is an attribute of resources with twice the limit that a profile has, and with that.
func Twice(r sandbox.Resource, had int64) (twice, now string) {
	row, unit := &sandbox.ResourceRows[r], resource.Rows[r].Unit
	return row.Name + " = " + amount(unit, min(2*min(had, row.Max), row.Max)), row.Name + " = " + amount(unit, had)
}

func amount(u resource.Unit, n int64) string {
	switch u {
	case resource.Bytes:
		return strconv.Quote(size(n))
	case resource.Seconds:
		return fmt.Sprintf(`"%ds"`, n)
	case resource.Share:
		return fmt.Sprintf(`"%d%%"`, n/10)
	}
	return strconv.FormatInt(n, 10)
}

// size writes bytes in the largest unit that needs no fraction.
func size(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// Quote writes text as HCL does, in which ${ and %{ begin a template.
func Quote(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + strings.NewReplacer("${", "$${", "%{", "%%{").Replace(b.String()) + `"`
}
