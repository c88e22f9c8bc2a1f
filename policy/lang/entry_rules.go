package lang

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/valid"
)

// settle gives the service of an entry what neither the entry nor a block says, and the
// entry's own limits.
func (c *compiler) settle(e *inetdEntry, s *policy.Service) {
	at, rules := "services."+s.Name, &c.entryRules
	take := func(name, value string, to *string) {
		if *to == "" && value != "" {
			*to = value
			field := name
			if name == "hosts_access" {
				field = kindACL
			}
			c.put(at+"."+field, c.inetd.Body.Attributes[name].Expr.Range())
		}
	}
	if l := c.list(rules.acl); e.Wrapper.Written() && s.ACL == "" && !rules.asks(e) && l != nil && l.AllowsAll() {
		c.guarded = append(c.guarded, e)
	}
	if rules.asks(e) && s.ACL == "" {
		take("hosts_access", c.hostsACL(e, s), &s.ACL)
		if l := c.list(s.ACL); rules.acl == "" && rules.hostsAccessFor == nil && !e.Asks() && l != nil && !l.AllowsAll() {
			c.unguarded = append(c.unguarded, e)
		}
	}
	take("acl", rules.acl, &s.ACL)
	program := !s.Ours()
	if !s.Wait || !program {
		take("limit", rules.limit, &s.Limit)
	}
	if program {
		take("profile", rules.profile, &s.Profile)
		if s.Profile == "" {
			s.Profile = Classic(s)
			c.classicEnv(e, s)
		}
	}
	if s.Because == "" && (valid.Root(s.User) || valid.Root(s.Group)) {
		s.Because = reasonOfEntry
		c.put(at+".because", hclRange(e.User.At))
	}
	if s.Wait && program {
		c.unenforced(e, s)
	}
	chosen := s.Limit != ""
	s.Limit = cmp.Or(s.Limit, usualLimit(e.Entry, s))
	c.ownLimit(e, s, chosen)
}

// asks tells whether hosts.allow and hosts.deny decide for an entry.
func (r *entries) asks(e *inetdEntry) bool {
	about := func(word string, is bool) bool { return is && slices.Contains(r.hostsAccessFor, word) }
	return r.hostsAccess != "" && (len(r.hostsAccessFor) == 0 || about(behindTcpd, e.Wrapper.Written()) ||
		about(programs, e.Internal == "") || about(internals, e.Internal != ""))
}

// behindTcpd warns of entries that tcpd guarded, to which everybody is admitted now.
func (c *compiler) behindTcpd() {
	if len(c.guarded) == 0 {
		return
	}
	what := fmt.Sprintf("%q stands", c.shortest(c.guarded[0]))
	if n := len(c.guarded); n > 1 {
		what = fmt.Sprintf("%q and %d more stand", c.shortest(c.guarded[0]), n-1)
	}
	c.warn(codeLoss, hclRange(c.guarded[0].Wrapper.At), "name hosts.allow and hosts.deny among the sources and write inetd { hosts_access = true } in place of acl, or give the entries acls of their own",
		"%s behind tcpd, which asks hosts.allow and hosts.deny, and acl.%s admits everybody", what, c.entryRules.acl)
}

// beforeTcpd warns of entries that hosts.allow and hosts.deny decide for now, and did not before.
func (c *compiler) beforeTcpd() {
	if len(c.unguarded) == 0 {
		return
	}
	first := c.unguarded[0]
	what := fmt.Sprintf("%q does", c.shortest(first))
	if n := len(c.unguarded); n > 1 {
		what = fmt.Sprintf("%q and %d more do", c.shortest(first), n-1)
	}
	c.warn(codeHabit, hclRange(first.Service.At), fmt.Sprintf("write hosts_access_for = [%q] and acl = acl.anyone beside it, as it was; or hosts_access_for = [%q, %q], which says that all are meant", behindTcpd, internals, programs),
		"%s not stand behind tcpd, and the inetd of %s asked nobody; hosts_access asks hosts.allow and hosts.deny, which refuse clients", what, first.Dialect)
}

// lostWords warns of what entries say and nothing here does, but of a command that an
// extending block writes anew.
func (c *compiler) lostWords() {
	for _, f := range c.losses {
		if !slices.ContainsFunc(c.entries, func(e *inetdEntry) bool {
			blk := c.blocks[kindService][e.extended]
			return blk != nil && blk.Body.Attributes["command"] != nil && f.At.Filename == e.At.Filename &&
				e.Program.At.Start.Byte <= f.At.Start.Byte && f.At.End.Byte <= e.At.End.Byte
		}) {
			c.warn(codeLoss, hclRange(f.At), f.Next, "%s", f.Summary)
		}
	}
}

// unenforced reports an acl of all entries for one whose program accepts by itself.
func (c *compiler) unenforced(e *inetdEntry, s *policy.Service) {
	l := c.list(s.ACL)
	if l == nil || l.AllowsAll() || c.inetd == nil {
		return
	}
	for _, name := range []string{"acl", "hosts_access"} {
		if a := c.inetd.Body.Attributes[name]; a != nil && c.places["services."+s.Name+"."+"acl"] == a.Expr.Range() {
			c.report(codeMeaning, hclRange(e.WaitAt), fmt.Sprintf("write service %q { extends = %q ... } with wait = false, or with acl = acl.anyone", s.Name, c.shortest(e)),
				"%s of inetd is not enforceable for %q, whose program accepts its clients itself", name, c.shortest(e))
		}
	}
}

// becoming are the programs that need some of root's powers, to become another user, and the shipped profile
// of each kind.
var becoming = []struct {
	profile  string
	wait     bool
	programs []string
}{
	{"classic_tftpd", true, []string{"in.tftpd", "tftpd"}},
	{"classic_login", false, []string{"in.telnetd", "telnetd", "telnetlogin", "in.rlogind", "rlogind", "login", "sshd", "dropbear",
		"popa3d", "in.qpopper", "ipop3d", "ipop2d", "imapd", "uucico", "in.uucpd"}},
	{"classic_ftpd", false, []string{"in.ftpd", "ftpd", "vsftpd", "proftpd", "in.proftpd", "pure-ftpd"}},
	{"classic_rshd", false, []string{"in.rshd", "rshd", "in.rexecd", "rexecd"}},
	{"classic_data", false, []string{"rsync", "cvs", "svnserve"}},
}

// ClassicEnv are the variables, as NAME=value, that the programs of a classic profile need: cvs looks for room in
// /var/tmp, where nobody may write.
func ClassicEnv(profile string) []string {
	if profile == "classic_data" {
		return []string{"TMPDIR=/tmp"}
	}
	return nil
}

// classicEnv adds them to what a block says.
func (c *compiler) classicEnv(e *inetdEntry, s *policy.Service) {
	for _, v := range ClassicEnv(s.Profile) {
		name, value, _ := strings.Cut(v, "=")
		if _, own := s.Env[name]; own {
			continue
		}
		if s.Env == nil {
			s.Env = map[string]string{}
			c.put("services."+s.Name+".env", hclRange(e.Program.At))
		}
		s.Env[name] = value
		c.put("services."+s.Name+".env."+name, hclRange(e.Program.At))
	}
}

// Classic is the shipped profile for what an entry runs.
func Classic(s *policy.Service) string {
	if valid.Root(s.User) && len(s.Command) > 0 {
		for _, k := range becoming {
			if k.wait == s.Wait && (slices.Contains(k.programs, path.Base(s.Command[0])) || slices.Contains(k.programs, path.Base(s.Argv0))) {
				return k.profile
			}
		}
	}
	if s.Wait {
		return "classic_wait"
	}
	return "classic"
}
