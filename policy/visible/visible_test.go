package visible

import (
	"regexp"
	"strings"
	"testing"
)

// runs is what a program that runs jobs takes for a command of a line: GitHub's (actions/runner, ActionCommand.TryParseV2 and
// TryParse), Azure's and TeamCity's.
func runs(line string) bool {
	trimmed := strings.TrimSpace(line)
	return strings.HasPrefix(trimmed, "::") && strings.Contains(trimmed[2:], "::") || regexp.MustCompile(`##\w*\[`).MatchString(line)
}

// TestNoCommands: no text of others becomes a command of a job's runner, on any of its lines, and addresses stay as they are.
func TestNoCommands(t *testing.T) {
	for text, want := range map[string]string{
		"::error::x": `\x3a:error::x`, "  ::stop-commands::pause": `  \x3a:stop-commands::pause`, "\t::error file=a,line=1\t::x": `\t\x3a:error file=a,line=1\t::x`,
		"a ##[error]b ##[group]": `a #\x23[error]b #\x23[group]`, "##vso[task.setvariable]": `#\x23vso[task.setvariable]`, "###[error]x": `##\x23[error]x`,
		"##teamcity[x]": `#\x23teamcity[x]`, "::1": "::1", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "# # [x]": "# # [x]", "a ::error::": "a ::error::",
	} {
		if got := Line(text); got != want || runs(got) {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		for line := range strings.SplitSeq(Lines("x\n"+text+"\r\n"+text), "\n") {
			if runs(line) {
				t.Errorf("%q among others is %q", text, line)
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{"::error::x", "##[a]", "\u2028::x::", "\x85::x::", "##\x00[", "##\n[x]", "\x0b::a::b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for line := range strings.SplitSeq(Lines(s), "\n") {
			if runs(line) {
				t.Errorf("%q has the line %q", s, line)
			}
		}
		if line := Line(s); runs(line) || strings.Contains(line, "\n") {
			t.Errorf("%q is the line %q", s, line)
		}
	})
}
