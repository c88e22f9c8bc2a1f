package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// The lines of the README between which stands what a run came to.
const (
	readmeBegin = "<!-- make bench-readme writes this out of bin/bench.json -->\n"
	readmeEnd   = "<!-- to here -->\n"
)

// brief is the run as the README has it: where and when, and the rows that are marked for it.
func (r record) brief() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Measured on %s: %s; in brackets what holds the true ratio in 95 of 100 runs.\n\n", r.Date.Format("2006-01-02"), r.Machine)
	t := table{head: []string{"", "casemate", "against", "ratio", "aim"}}
	for _, row := range r.Results {
		if !row.Brief {
			continue
		}
		against, ratio, held := "", "", ""
		if row.Ratio != nil {
			against, ratio = row.Against, fmt.Sprintf("%.2f (%.2f to %.2f)", row.Ratio.Ratio, row.Ratio.Low, row.Ratio.High)
			if v, there := row.of(row.Against); there {
				against += ": " + short(v)
			}
		}
		if row.Aim != nil {
			held = row.Aim.String()
		}
		t.rows = append(t.rows, []string{row.Work + ", " + row.Unit, short(row.Ours), against, ratio, held})
	}
	t.lines(&s)
	return s.String()
}

// of is what somebody who was asked came to.
func (r result) of(name string) (float64, bool) {
	for _, p := range r.Peers {
		if p.Name == name {
			return p.Value, true
		}
	}
	return 0, false
}

// writeReadme puts what a record says, which a run has written to file, into a README.
func writeReadme(readme, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if r.FormatVersion != recordFormat {
		return fmt.Errorf("read %s: format_version %d is not %d", file, r.FormatVersion, recordFormat)
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), readmeBegin)
	_, after, ends := strings.Cut(rest, readmeEnd)
	if !begins || !ends {
		return fmt.Errorf("%s does not have the two lines between which it belongs: %q, %q", readme, readmeBegin, readmeEnd)
	}
	return os.WriteFile(readme, []byte(before+readmeBegin+r.brief()+readmeEnd+after), 0o644)
}
