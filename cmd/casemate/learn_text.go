package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/learn"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// layers are what attributes of a learnt profile widen; the others widen nothing.
var layers = map[string]string{
	learn.AttrCapability: "capabilities", learn.AttrMode: "network", learn.AttrConnect: "network", learn.AttrBind: "network", learn.AttrSockets: "network",
	learn.AttrExec: "files", learn.AttrWrite: "files", learn.AttrProc: "files", learn.AttrPty: "files", learn.AttrLog: "files", learn.AttrState: "files",
	learn.AttrAllow: "syscalls", learn.AttrRule: "syscalls",
}

// blocks are the attributes of a learnt profile in the order in which the language lists them.
var blocks = []struct {
	name  string
	attrs []string
}{
	{"", []string{learn.AttrCapability, learn.AttrInit}},
	{"network", []string{learn.AttrMode, learn.AttrConnect, learn.AttrBind, learn.AttrSockets}},
	{"files", []string{learn.AttrRead, learn.AttrExec, learn.AttrWrite, learn.AttrTmp, learn.AttrShm, learn.AttrState, learn.AttrLog, learn.AttrProc, learn.AttrPty, learn.AttrDev}},
	{"syscalls", []string{learn.AttrAllow, learn.AttrRule}},
}

// draftText writes a draft as a profile of the policy language, each line with its evidence.
func draftText(name string, d *learn.Draft, head []string) (string, error) {
	var b strings.Builder
	for _, line := range head {
		fmt.Fprintf(&b, "# %s\n", oneLine(line))
	}
	fmt.Fprintf(&b, "profile %q {\nbase = profile.%s%s\n", name, d.Base.Profile.Name, ifSome(" # ", oneLine(d.Narrower)))
	if w := widened(d); len(w) > 0 {
		fmt.Fprintf(&b, "widens = [%s]\n", quoteAll(w))
	}
	if why := reasons(d); why != "" {
		fmt.Fprintf(&b, "because = %q\n", why)
	}
	for _, block := range blocks {
		writeAttributes(&b, block.name, block.attrs, d.Lines)
	}
	b.WriteString("}\n")
	text, ds := lang.Format(policy.SourceFile{Name: name + ".cm.hcl", Data: []byte(b.String())})
	if len(ds) > 0 {
		return "", fmt.Errorf("learn: format the profile: %s", ds[0].Summary)
	}
	return string(text), nil
}

// widened are the layers in which a draft grants more than its base, sorted.
func widened(d *learn.Draft) []string {
	var out []string
	for _, n := range d.Lines {
		layer := layers[n.Attr]
		if n.Attr == learn.AttrMode && n.Value == string(d.Base.Profile.Network.Mode) {
			continue
		}
		if layer != "" && !slices.Contains(out, layer) {
			out = append(out, layer)
		}
	}
	slices.Sort(out)
	return out
}

// reasons is the because of a draft: what it was seen to need that needs a reason.
func reasons(d *learn.Draft) string {
	var parts []string
	for _, n := range d.Lines {
		switch n.Attr {
		case learn.AttrCapability:
			parts = append(parts, "its clients fail without "+n.Value)
		case learn.AttrMode:
			if n.Value == string(sandbox.NetworkHost) {
				parts = append(parts, "its clients fail without the host's network")
			}
		case learn.AttrAllow, learn.AttrRule:
			if call := strings.Fields(n.Value)[0]; advise.Perilous(seccomp.Rule{Name: call}) != "" {
				parts = append(parts, "it calls "+call)
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return "learnt: " + strings.Join(slices.Compact(parts), ", ")
}

func writeAttributes(b *strings.Builder, block string, attrs []string, all []learn.Need) {
	var text strings.Builder
	for _, attr := range attrs {
		var list []learn.Need
		for _, n := range all {
			if n.Attr == attr {
				list = append(list, n)
			}
		}
		if len(list) > 0 {
			writeAttribute(&text, attr[strings.IndexByte(attr, '.')+1:], attr, list)
		}
	}
	switch {
	case text.Len() == 0:
	case block == "":
		b.WriteString(text.String())
	default:
		fmt.Fprintf(b, "%s {\n%s}\n", block, text.String())
	}
}

func writeAttribute(b *strings.Builder, word, attr string, list []learn.Need) {
	switch attr {
	case learn.AttrInit, learn.AttrProc, learn.AttrPty, learn.AttrLog, learn.AttrState:
		fmt.Fprintf(b, "%s = %s # %s\n", word, list[0].Value, evidence(&list[0]))
	case learn.AttrMode, learn.AttrTmp, learn.AttrShm:
		fmt.Fprintf(b, "%s = %q # %s\n", word, list[0].Value, evidence(&list[0]))
	case learn.AttrRule:
		for _, n := range list {
			fmt.Fprintf(b, "rule %q { # %s\narg = %d\nvalues = [%s]\n}\n", n.Rule.Name, evidence(&n), n.Rule.Arg, ruleValues(n.Rule))
		}
	default:
		fmt.Fprintf(b, "%s = [\n", word)
		for _, n := range list {
			values := []string{n.Value}
			if attr == learn.AttrAllow {
				values = learn.Siblings(n.Value)
			}
			fmt.Fprintf(b, "%s, # %s\n", quoteAll(values), evidence(&n))
		}
		b.WriteString("]\n")
	}
}

func ruleValues(r sandbox.SyscallRule) string {
	var out []string
	for _, v := range r.Values {
		out = append(out, strconv.Quote(fmt.Sprintf("%#x", v)))
	}
	return strings.Join(out, ", ")
}

func quoteAll(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, learn.Quote(s))
	}
	return strings.Join(out, ", ")
}

// evidence is the comment of a line.
func evidence(n *learn.Need) string {
	var parts []string
	switch {
	case n.Count > 0:
		times := "once"
		if n.Count > 1 {
			times = fmt.Sprintf("%d times", n.Count)
		}
		first := fmt.Sprintf("%s, first at %s: %s", times, n.First.Format("15:04:05.000"), n.Example)
		if n.Program != "" {
			first += " by " + n.Program
		}
		parts = append(parts, first)
	default:
		parts = append(parts, "refused, and its clients failed")
	}
	if n.Without != "" {
		parts = append(parts, "without it "+n.Without)
	}
	if n.Stays {
		parts = append(parts, "the clients are served without it")
	}
	return oneLine(strings.Join(parts, "; "))
}
