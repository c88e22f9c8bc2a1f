package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"casemate/acl/reach"
	"casemate/cmd/casemate/output"
	"casemate/policy/diff"
)

// forged is a difference in which all that a policy chooses is text.
func forged(text string) told {
	witness := diff.Witness{Client: "192.0.2.1", Name: text, Old: diff.Decided{Decision: "deny", Rule: text, Origin: text}, New: diff.Decided{Decision: "allow", Rule: text, Origin: text}}
	d := []diff.Dimension{
		{Name: "reach", Verdict: diff.Mixed, By: text, Reach: []diff.Reach{
			{Verdict: diff.Widened, Clients: []string{"192.0.2.0/24"}, Counts: map[string]string{"ipv4": "256"}, When: reach.Circumstances{Names: []string{text}, Except: []string{text}, Zone: text, During: []string{text}}, Witness: witness},
			{Verdict: diff.Narrowed, Clients: []string{text}, Counts: map[string]string{"uid": "1"}, Witness: witness},
		}},
		{Name: "command", Verdict: diff.Incomparable, More: []string{text, "a " + text}, Less: []string{text}, Differs: []string{text + " b"}, Changed: []string{text}},
		{Name: "seccomp", Verdict: diff.Widened, Calls: []diff.Call{{Call: text, Old: text, New: text}}},
	}
	p := &diff.Policies{Verdict: diff.Mixed, Counts: map[diff.Verdict]int{diff.Mixed: 1, diff.Narrowed: 1}, Policy: []string{text}, Services: []diff.Service{
		{Name: text, Verdict: diff.Mixed, Dimensions: d, NewOrigin: text}, {Name: "x" + text, Verdict: diff.Narrowed, Dimensions: d[1:], OldOrigin: text},
	}}
	return told{old: []string{text}, new: []string{text}, p: p, groups: alike(p)}
}

// tags are all the markup of HTML that a comment may have.
var tags = regexp.MustCompile(`</?details>|</?summary>|</?code>`)

// begins is how a line of a comment may begin.
var begins = regexp.MustCompile("^(- |\\*\\*|<details><summary>|</details>|The policy's own)")

// bare is a line of Markdown without its code spans and what is escaped, within which nothing is markup.
func bare(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			i += 2
		case line[i] == '`':
			n := len(line[i:]) - len(strings.TrimLeft(line[i:], "`"))
			end := closing(line[i+n:], n)
			if end < 0 {
				b.WriteString(line[i : i+n])
			}
			i += n + max(0, end)
		default:
			b.WriteByte(line[i])
			i++
		}
	}
	return b.String()
}

// closing is how far it is to the end of a code span that n backticks begin, -1 for none.
func closing(rest string, n int) int {
	for i := 0; i < len(rest); {
		if rest[i] != '`' {
			i++
			continue
		}
		run := len(rest[i:]) - len(strings.TrimLeft(rest[i:], "`"))
		if i += run; run == n {
			return i
		}
	}
	return -1
}

// harmless fails if a text of a policy is more than text in the outputs that are made of it.
func harmless(t *testing.T, text string) {
	t.Helper()
	var comment, plainText bytes.Buffer
	if err := forged(text).markdown(&comment); err != nil {
		t.Fatal(err)
	}
	a := &app{out: &plainText}
	a.diffText(forged(text))
	for what, got := range map[string]string{"markdown": comment.String(), "text": plainText.String()} {
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) && r != '\u200b' }) {
			t.Fatalf("%s of %q has what cannot be printed: %q", what, text, got)
		}
	}
	if comment.Len() > output.MaxMarkdown {
		t.Fatalf("%d bytes", comment.Len())
	}
	for line := range strings.SplitSeq(comment.String(), "\n") {
		if begin := strings.TrimLeft(line, " "); begin != "" && !begins.MatchString(begin) {
			t.Fatalf("%q begins a line: %q", text, line)
		}
		if html, ok := strings.CutPrefix(line, "<details><summary>"); ok { // HTML up to an empty line, in which no Markdown counts
			if strings.ContainsAny(tags.ReplaceAllString(html, ""), "<>") || strings.Count(html, "<code>") != 1 || !strings.HasSuffix(html, "</code></summary>") {
				t.Fatalf("%q is markup: %q", text, line)
			}
			continue
		}
		rest := strings.TrimPrefix(strings.TrimLeft(bare(line), " "), "- ")
		if rest = tags.ReplaceAllString(rest, ""); strings.ContainsAny(rest, "<`[]|@#") || strings.Count(rest, "**")%2 != 0 || strings.Contains(rest, "***") {
			t.Fatalf("%q is markup: %q", text, line)
		}
	}
	if n := strings.Count(comment.String(), "<details>"); n != 1 || n != strings.Count(comment.String(), "\n</details>\n") {
		t.Fatalf("%q: %d folds\n%s", text, n, comment.String())
	}
}

var forgeries = []string{"# heading", "a\n# heading", "a\r\n\r\n## b", "`code`", "``` fence", "a`b``c", "<script>", "</details>", "<!-- ", "![i](http://x)", "[l](javascript:x)", "@somebody", "#12", "GH-7",
	"| a | b |", "***", "- list", "1. list", "\u202egnidaeh", "\x1b[31mred", "\x00", "a\u2028b", "\xff\xfe", "&lt;b&gt;", "\\", "\\`", "$(touch x)", "'; touch x; '", "--name", strings.Repeat("`", 500), strings.Repeat("x", 9000), "", " ", "</code></summary>"}

// TestForgeries: nothing that a policy says becomes markup of a review comment, or moves a terminal.
func TestForgeries(t *testing.T) {
	for _, text := range forgeries {
		harmless(t, text)
	}
}

func FuzzForgeries(f *testing.F) {
	for _, text := range forgeries {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		harmless(t, text)
	})
}

// TestCommentIsCapped: however much is other, a comment fits, its folds end, and it says what is left out.
func TestCommentIsCapped(t *testing.T) {
	p := &diff.Policies{Verdict: diff.Narrowed, Counts: map[diff.Verdict]int{diff.Narrowed: 5000}}
	for i := range 5000 {
		p.Services = append(p.Services, diff.Service{Name: fmt.Sprintf("s%d", i), Verdict: diff.Narrowed, Dimensions: []diff.Dimension{{Name: "limits", Verdict: diff.Narrowed, Less: []string{fmt.Sprintf("concurrent %d, was 9999", i)}}}})
	}
	var b bytes.Buffer
	if err := (told{p: p, groups: alike(p)}).markdown(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if b.Len() > output.MaxMarkdown || b.Len() < output.MaxMarkdown/2 || !strings.Contains(text, " more services are left out") || strings.Count(text, "<details>") != strings.Count(text, "</details>") {
		t.Errorf("%d bytes: %s", b.Len(), text[max(0, b.Len()-500):])
	}
}

// TestPaste: what is pasted into a shell is the words that it was made of.
func TestPaste(t *testing.T) {
	for word, want := range map[string]string{"finger": "finger", "git:HEAD:./p": "git:HEAD:./p", "a b": "'a b'", "": "''", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "~": "'~'"} {
		if got := shellWord(word); got != want {
			t.Errorf("%q is %s", word, got)
		}
	}
}
