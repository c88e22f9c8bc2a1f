package importer

import (
	"slices"
	"strings"

	"casemate/policy"
)

// muxed is how listen has a name of tcpmux. Names are compared without their case there.
func muxed(name string, plus bool) []string {
	if plus {
		name = "+" + name
	}
	return []string{"tcpmux:" + strings.ToLower(name)}
}

// unmuxed makes comments of the services that nothing hands clients over to.
func (p *page) unmuxed() {
	if slices.ContainsFunc(p.units, func(u *unit) bool {
		return u.service != nil && !u.off && len(u.service.off) == 0 && u.service.builtin == policy.Tcpmux
	}) {
		return
	}
	for _, u := range p.units {
		if u.service != nil && !u.off && len(u.service.off) == 0 && slices.ContainsFunc(u.service.listen, func(l string) bool { return strings.HasPrefix(l, "tcpmux:") }) {
			const why = "no tcpmux is served that would hand clients over to it"
			p.lost(u.file, u.line, u.what, `write a service with listen = ["tcp://:tcpmux"], builtin = "tcpmux" and an acl`, "it stands in a comment: %s", why)
			u.demote(why)
		}
	}
}
