package valid

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/granted"
)

const (
	maxRuleEnv   = 32      // variables of one rule
	maxRuleBytes = 4 << 10 // of all of them: they come with each client
)

// Which clients come is not for the service to choose, so by env a rule chooses words for its program,
// and not what code it runs, which its command says outright: no variable of the dynamic linker, a shell or an interpreter.
var (
	codeVariables = []string{"PATH", "IFS", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES",
		"RESOLV_HOST_CONF", "RES_OPTIONS", "TZDIR", "TERMINFO", "TERMINFO_DIRS", "TERMPATH", "MALLOC_CONF", "PERLLIB", "CLASSPATH", "NODE_OPTIONS", "NODE_PATH", "HOME", "TMPDIR",
		"CREDENTIALS_DIRECTORY", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES"}
	codePrefixes = []string{"LD_", "BASH_", "MALLOC_", "PERL5", "PYTHON", "RUBY", "GEM_", "LUA_", "JAVA_", "JDK_JAVA_", "_JAVA_", "PHP", "GUILE_", "TCL", "GIT_", "GLIBC_"}
	// factPrefixes begin what casemate itself says of a client and its sockets.
	factPrefixes = []string{"VSOCK", "REMOTE_", "TCP", "UDP", "IPC", "LISTEN_", "PROTO"}
)

// RuleVariable says why no rule of an acl may set a variable, "" where it may.
func RuleVariable(name string) string {
	begins := func(p string) bool { return strings.HasPrefix(name, p) }
	switch {
	case !envName(name):
		return "is not the name of a variable"
	case slices.Contains(codeVariables, name) || slices.ContainsFunc(codePrefixes, begins):
		return "tells programs where their code or their files are, which no client decides"
	case slices.ContainsFunc(factPrefixes, begins):
		return "is what casemate says of the client and its socket"
	}
	return ""
}

// ruleEnv checks the variables of one rule.
func (c *checker) ruleEnv(at string, r *acl.Rule) {
	between(c, at+".env", len(r.Env), 0, maxRuleEnv)
	bytes := 0
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		if why := RuleVariable(name); why != "" {
			c.add(at+".env."+name, "choose another name, or set it in env of the service, for all its clients", "%q %s", name, why)
		}
		c.lines(at+".env."+name, r.Env[name], maxRuleBytes)
		bytes += len(name) + len(r.Env[name]) + 2
	}
	if bytes > maxRuleBytes {
		c.add(at+".env", "shorten it", "%d bytes of variables are more than the %d of one rule", bytes, maxRuleBytes)
	}
	if len(r.Env) > 0 && r.Verdict != acl.Allow {
		c.add(at+".env", "remove env", "a rule that denies starts no program")
	}
}

// ruleCommand checks the program of one rule.
func (c *checker) ruleCommand(at string, r *acl.Rule) {
	if len(r.Command) == 0 {
		return
	}
	c.command(at, r.Command)
	if r.Verdict != acl.Allow {
		c.add(at+".command", "remove command", "a rule that denies starts no program")
	}
}

// ruleCommands checks that the programs of its acl's rules are started for the clients of s.
func (c *checker) ruleCommands(at string, p *policy.Policy, s *policy.Service) {
	list := p.ACL(s.ACL)
	if list == nil {
		return
	}
	i := slices.IndexFunc(list.Rules, func(r acl.Rule) bool { return len(r.Command) > 0 })
	switch {
	case i < 0:
	case s.Redirects():
		c.add(at+".acl", "use an acl without command", "a rule of acl %q has a command, and redirect starts no program", s.ACL)
	case s.Wait:
		c.add(at+".acl", "use an acl without command", "a rule of acl %q has a command, and a program with wait and a builtin take their clients themselves", s.ACL)
	default:
		for _, r := range list.Rules {
			if len(r.Command) > 0 {
				c.programs++
			}
		}
		if c.programs > granted.MaxPrograms {
			c.add(at+".acl", "use rules with fewer commands, in fewer services", "with the rules of acl %q there are more than %d commands of rules", s.ACL, granted.MaxPrograms)
		}
	}
}

// ruleEnvs checks that the variables of its acl reach the programs of s, and that none is one of its own.
func (c *checker) ruleEnvs(at string, p *policy.Policy, s *policy.Service) {
	list := p.ACL(s.ACL)
	if list == nil {
		return
	}
	variable, _ := s.Stdio.Variable()
	for i := range list.Rules {
		for _, name := range slices.Sorted(maps.Keys(list.Rules[i].Env)) {
			if s.Wait {
				c.add(at+".acl", "use an acl without env", "a rule of acl %q sets %s, and a program with wait and a builtin take their clients themselves", s.ACL, name)
				return
			}
			if _, own := s.Env[name]; own || name == variable {
				c.add(fmt.Sprintf("acls.%s.rules.%d.env.%s", list.Name, i, name), "choose another name, or remove it from the service", "service %q has %s of its own, which no rule changes", s.Name, name)
			}
		}
	}
}
