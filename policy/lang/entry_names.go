package lang

import (
	"strconv"
	"strings"

	"casemate/policy/inetd"
)

// shortest is how a block names e: without its address where that is enough.
func (c *compiler) shortest(e *inetdEntry) string {
	if len(c.byKey[e.Key()]) == 1 {
		return e.Key()
	}
	return e.Full()
}

// entryNames are the names of the services that the entries make.
func (c *compiler) entryNames() []string {
	entries := make([]*inetd.Entry, len(c.entries))
	for i, e := range c.entries {
		entries[i] = e.Entry
	}
	return EntryNames(entries)
}

// EntryNames are the names of the services that entries make, in their order. One is what
// the entry calls its service ("telnet", "port-7971" for a number, "run-x-sock" for a
// path). Where several do, that of tcp keeps the name, and the others have their protocol
// behind it, then their addresses, then a number ("echo-udp", "echo-udp-127-0-0-1").
func EntryNames(entries []*inetd.Entry) []string {
	names := make([]string, len(entries))
	taken := map[string]bool{}
	for _, step := range []func(e *inetd.Entry) string{
		func(e *inetd.Entry) string { return "" },
		func(e *inetd.Entry) string { return "-" + e.Protocol.Text },
		func(e *inetd.Entry) string {
			return "-" + e.Protocol.Text + "-" + strings.TrimSuffix(e.Full(), ":"+e.Key())
		},
	} {
		for _, tcp := range []bool{true, false} {
			for i, e := range entries {
				if names[i] != "" || e.Protocol.Text == "tcp" != tcp {
					continue
				}
				if name := BlockName(e.Service.Text, step(e)); !taken[name] {
					names[i], taken[name] = name, true
				}
			}
		}
	}
	next := map[string]int{} // by what it is called
	for i, e := range entries {
		for n := max(next[e.Service.Text], 2); names[i] == ""; n++ {
			if name := BlockName(e.Service.Text, "-"+strconv.Itoa(n)); !taken[name] {
				names[i], taken[name], next[e.Service.Text] = name, true, n+1
			}
		}
	}
	return names
}

// BlockName makes a name of a block out of what another program calls its service, with
// more behind it.
func BlockName(service, more string) string {
	valid := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
				return r
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			}
			return '-'
		}, s)
	}
	name := strings.Trim(valid(service), "-")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = "port-" + name
	}
	const longest = 63
	more = strings.TrimRight(valid(more), "-")
	if len(more) > longest/2 {
		more = more[:longest/2]
	}
	return strings.TrimRight(name[:min(len(name), longest-len(more))]+more, "-")
}
