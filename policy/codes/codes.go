// Package codes is the table of what is found in policies: every diagnostic has a code, and every
// code a row here and a page, with a policy that has the finding and one that has not. What a
// code means never changes. It is data, and knows nothing of who finds what.
package codes

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/suggest"
)

// Notice is the severity of what a reviewer is told, and no gate is about unless it says so.
const Notice = "notice"

// Severities are the severities that there are, the gravest first.
var Severities = []string{policy.SeverityError, policy.SeverityWarning, Notice}

// Rule is one code.
type Rule struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // of nearly all its findings: where nobody can be sure an error is a warning
	Sentence string `json:"sentence"` // what is found
}

// rules are in the order of their codes.
var rules = []Rule{
	{"CM001", policy.SeverityError, "A file of the policy cannot be read."},
	{"CM101", policy.SeverityError, "A file is too large, too deep, or not text."},
	{"CM102", policy.SeverityError, "A file is not HCL."},
	{"CM103", policy.SeverityError, "Something is HCL, and not part of the policy language."},
	{"CM104", policy.SeverityError, "A line of inetd.conf, hosts.allow or services cannot be read."},
	{"CM201", policy.SeverityError, "There is no such block."},
	{"CM202", policy.SeverityError, "There is no such attribute."},
	{"CM203", policy.SeverityError, "The same thing is there twice."},
	{"CM204", policy.SeverityError, "Something that has no default is missing."},
	{"CM205", policy.SeverityError, "A block has too many names, too few, or one that is none."},
	{"CM301", policy.SeverityError, "There is no such acl, limit, profile, local or function."},
	{"CM302", policy.SeverityError, "Locals or profiles depend on themselves."},
	{"CM303", policy.SeverityError, "The policy grows beyond its bounds when it is evaluated."},
	{"CM304", policy.SeverityError, "A function cannot work on its arguments."},
	{"CM401", policy.SeverityError, "A value is of the wrong kind."},
	{"CM402", policy.SeverityError, "A value cannot be read."},
	{"CM501", policy.SeverityError, "Values that are right by themselves are wrong together."},
	{"CM502", policy.SeverityError, "A profile grants more than its base and does not say so."},
	{"CM503", policy.SeverityWarning, "widens names a layer that is not widened."},
	{"CM504", policy.SeverityWarning, "A rule against names can be got around by having none."},
	{"CM505", policy.SeverityWarning, "A profile allows a perilous system call without a reason."},
	{"CM506", policy.SeverityError, "A profile without network allows calls that reach it."},
	{"CM507", policy.SeverityWarning, "The acl of a datagram service has names, which nobody is asked for there."},
	{"CM508", policy.SeverityWarning, "A service or a listener admits nobody."},
	{"CM509", policy.SeverityWarning, "Something means another thing here than in other programs."},
	{"CM510", policy.SeverityWarning, "No client gets to a rule."},
	{"CM511", policy.SeverityWarning, "What sessions or services have together is too little, or shared."},
	{"CM512", policy.SeverityWarning, "Files outlive the uid that they belong to."},
	{"CM513", policy.SeverityWarning, "A line of inetd.conf is not served."},
	{"CM514", policy.SeverityWarning, "An entry says something that nothing here does."},
	{"CM515", policy.SeverityWarning, "A profile allows a call that the kernel refuses without a capability."},
	{"CM516", policy.SeverityWarning, "Every local user may connect to an abstract unix socket."},
	{"CM517", policy.SeverityWarning, "A program makes machine code as it runs, and its profile forbids that."},
	{"CM601", policy.SeverityWarning, "A service may take more than the host has."},
	{"CM602", policy.SeverityError, "casemated refuses a service on the host."},
	{"CM603", policy.SeverityError, "A program does not find a library on the host."},
	{"CM604", policy.SeverityWarning, "The facts of the host do not tell."},
	{"CM605", policy.SeverityWarning, "A program that runs is from before the kernel held its acl."},
	{"CM701", policy.SeverityWarning, "A service open to any is bounded by nothing."},
	{"CM702", policy.SeverityWarning, "A service open to any has no limit for each source."},
	{"CM703", policy.SeverityWarning, "One source may take every place of a service open to any."},
	{"CM704", policy.SeverityWarning, "Sources of IPv6 are told apart by more than 64 bits."},
	{"CM705", Notice, "Clients may keep the places of a service open to any for ever."},
	{"CM706", policy.SeverityWarning, "A datagram service open to any answers more than it is asked."},
	{"CM707", policy.SeverityWarning, "Passwords are sent as they are typed beyond private networks."},
	{"CM708", Notice, "Everybody may try passwords at a login service, often."},
	{"CM709", policy.SeverityWarning, "A service open to any gives up a layer of its sandbox where a host lacks it."},
	{"CM710", Notice, "A service open to any runs as root or with capabilities."},
	{"CM711", policy.SeverityWarning, "because holds no reason."},
	{"CM712", Notice, "Services share a user whose files one of them writes."},
	{"CM713", Notice, "A block or a local is used by nothing."},
	{"CM714", policy.SeverityWarning, "A built-in answers more datagrams than usual beyond private networks."},
	{"CM715", policy.SeverityWarning, "A limit says responses of a program, which nobody counts."},
	{"CM716", policy.SeverityWarning, "A limit ends clients for saying nothing who have nothing to say."},
	{"CM717", policy.SeverityWarning, "A limit exempts nearly everybody from what it counts of each source."},
	{"CM718", Notice, "A limit exempts sources to whom that gives nothing."},
	{"CM719", Notice, "The kernel is to refuse clients by an acl that it cannot hold whole."},
	{"CM721", policy.SeverityWarning, "A waiver accepts a finding that there is not."},
	{"CM722", policy.SeverityWarning, "A waiver has expired."},
	{"CM723", Notice, "A waiver expires soon."},
	{"CM731", policy.SeverityWarning, "An attribute is deprecated."},
}

//go:embed pages/*.txt
var pages embed.FS

// All are the rules in the order of their codes.
func All() []Rule { return slices.Clone(rules) }

// Codes are their codes.
func Codes() []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.Code
	}
	return out
}

// Find is the rule of a code, which may be in lower case. An error says what to write instead.
func Find(code string) (Rule, error) {
	code = strings.ToUpper(code)
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Code == code })
	if i >= 0 {
		return rules[i], nil
	}
	next := "casemate explain-rule lists them"
	if w := suggest.Word(code, Codes()); w != "" {
		next = "did you mean " + w + "?"
	}
	return Rule{}, fmt.Errorf("there is no rule %q: %s", code, next)
}

// File is one file of an example.
type File struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Page is why a rule is there, and its examples: each is the files of a policy, and facts.json
// where it is about a host. Only a rule about files that cannot be read has none.
type Page struct {
	Why       string
	Bad, Good []File
}

// Page is the page of a rule.
func (r Rule) Page() Page {
	text, err := pages.ReadFile("pages/" + r.Code + ".txt")
	if err != nil {
		panic(fmt.Sprintf("policy/codes: %v", err)) // a test reads all of them
	}
	var p Page
	var file *File
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(line, "-- ")
		name, end := strings.CutSuffix(name, " --\n")
		switch side, base, _ := strings.Cut(name, "/"); {
		case ok && end && side == "bad":
			p.Bad = append(p.Bad, File{Name: base})
			file = &p.Bad[len(p.Bad)-1]
		case ok && end:
			p.Good = append(p.Good, File{Name: base})
			file = &p.Good[len(p.Good)-1]
		case file != nil:
			file.Text += line
		default:
			p.Why += line
		}
	}
	p.Why = strings.TrimSpace(p.Why)
	for _, side := range [][]File{p.Bad, p.Good} {
		for i := range side {
			side[i].Text = strings.TrimSpace(side[i].Text) + "\n"
		}
	}
	return p
}

// Text is the page as people read it, below the rule's sentence.
func (r Rule) Text() string {
	p := r.Page()
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s\n\n%s\n", r.Code, r.Severity, r.Sentence, p.Why)
	for _, side := range []struct {
		title string
		files []File
	}{{"Found in", p.Bad}, {"Not found in", p.Good}} {
		for i, f := range side.files {
			title := side.title
			if i > 0 {
				title = "with"
			}
			fmt.Fprintf(&b, "\n%s %s:\n\n", title, f.Name)
			for line := range strings.Lines(f.Text) {
				b.WriteString("    " + line)
			}
		}
	}
	return b.String()
}
