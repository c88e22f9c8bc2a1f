package waiver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
)

func day(s string) time.Time {
	t, err := time.Parse(Day, s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestApply: what a waiver accepts, of which service and until when, and what is wrong with it.
func TestApply(t *testing.T) {
	found := func(code, service, severity string) Finding {
		return Finding{Diagnostic: policy.Diagnostic{Code: code, Severity: severity}, Service: service}
	}
	all := []Finding{found("CM702", "web", "warning"), found("CM702", "mail", "warning"), found("CM504", "", "warning"), found("CM602", "web", "error")}
	for _, tt := range []struct {
		name, code, services, expires, now string
		waived                             string // by the codes and services
		says                               string // codes of waivers
	}{
		{"one service", "CM702", "web", "2027-01-31", "2026-11-26", "CM702/web", ""},
		{"two", "CM702", "web mail", "2027-01-31", "2026-11-26", "CM702/web CM702/mail", ""},
		{"of no service", "CM504", "", "2027-01-31", "2026-11-26", "CM504/", ""},
		{"of no service, for one", "CM504", "web", "2027-01-31", "2026-11-26", "", CodeUnused},
		{"of services, for none", "CM702", "", "2027-01-31", "2026-11-26", "", CodeUnused},
		{"another code", "CM703", "web", "2027-01-31", "2026-11-26", "", CodeUnused},
		{"not looked for", "CM601", "web", "2027-01-31", "2026-11-26", "", ""},
		{"an error is never waived", "CM602", "web", "2027-01-31", "2026-11-26", "", CodeUnused},
		{"on its last day", "CM702", "web", "2026-11-26", "2026-11-26", "CM702/web", CodeSoon},
		{"the day after", "CM702", "web", "2026-11-25", "2026-11-26", "", CodeExpired},
		{"soon", "CM702", "web", "2026-12-20", "2026-11-26", "CM702/web", CodeSoon},
		{"not so soon", "CM702", "web", "2026-12-27", "2026-11-26", "CM702/web", ""},
		{"expired and unused", "CM703", "web", "2026-01-01", "2026-11-26", "", CodeUnused},
	} {
		w := Waiver{Code: tt.code, Services: strings.Fields(tt.services), Expires: day(tt.expires), Place: policy.Diagnostic{File: "p", Line: 7}}
		got := Apply(slices.Clone(all), []Waiver{w}, day(tt.now).Add(23*time.Hour), func(code string) bool { return code != "CM601" })
		var waived, says []string
		for i, f := range got {
			if f.Waived != nil {
				waived = append(waived, f.Code+"/"+f.Service)
			}
			if i >= len(all) {
				says = append(says, f.Code)
				if f.Line != 7 || f.Summary == "" || f.Detail == "" {
					t.Errorf("%s: %+v", tt.name, f)
				}
			}
		}
		if strings.Join(waived, " ") != tt.waived || strings.Join(says, " ") != tt.says {
			t.Errorf("%s: waived %q, %q", tt.name, waived, says)
		}
	}
}

// TestTwo: of two waivers for one finding that holds which has not expired.
func TestTwo(t *testing.T) {
	ws := []Waiver{{Code: "CM504", Expires: day("2026-01-01")}, {Code: "CM504", Expires: day("2027-06-01")}}
	got := Apply([]Finding{{Diagnostic: policy.Diagnostic{Code: "CM504", Severity: "warning"}}}, ws, day("2026-11-26"), func(string) bool { return true })
	if got[0].Waived != &ws[1] || len(got) != 2 || got[1].Code != CodeExpired {
		t.Errorf("%+v", got)
	}
}

func TestAccepts(t *testing.T) {
	for code, says := range map[string]string{"CM504": "", "CM702": "", "CM501": "is an error", "CM721": "about waivers", "cm504": "write CM504", "CM999": "there is no rule"} {
		if err := Accepts(code); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
