package output

import (
	"encoding/json"
	"fmt"
	"io"

	"casemate/policy"
	"casemate/policy/codes"
)

// The parts of SARIF 2.1.0 that a report has.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool     `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string     `json:"id"`
	ShortDescription     *sarifText `json:"shortDescription,omitempty"`
	Help                 *sarifText `json:"help,omitempty"`
	DefaultConfiguration sarifLevel `json:"defaultConfiguration"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
	EndLine     int `json:"endLine,omitempty"`
	EndColumn   int `json:"endColumn,omitempty"`
}

type sarifLogical struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

// sarifFingerprint is the name of the fingerprints; its version changes when they do.
const sarifFingerprint = "casemate/v1"

// sarifLevels are SARIF's words for severities.
var sarifLevels = map[string]string{policy.SeverityError: "error", policy.SeverityWarning: "warning", codes.Notice: "note"}

// WriteSARIF writes the findings as a log of SARIF 2.1.0. A finding that is waived is there,
// as suppressed.
func (r *Report) WriteSARIF(w io.Writer) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "casemate", Version: r.Version, Rules: []sarifRule{}}
	index := map[string]int{}
	for _, rule := range r.Rules {
		index[rule.Code] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, ruleOf(rule))
	}
	prints := fingerprints(r.Findings, r.Place.URI)
	for i := range r.Findings {
		f := &r.Findings[i]
		if _, ok := index[f.Code]; !ok {
			index[f.Code] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, ruleOf(Rule{Code: f.Code, Severity: f.Severity}))
		}
		run.Results = append(run.Results, r.result(f, index[f.Code], prints[i]))
	}
	text, err := json.MarshalIndent(sarifLog{"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
	if err != nil {
		return fmt.Errorf("write sarif: %w", err)
	}
	_, err = w.Write(append(EscapeJSON(text), '\n'))
	return err
}

func ruleOf(rule Rule) sarifRule {
	out := sarifRule{ID: rule.Code, DefaultConfiguration: sarifLevel{sarifLevels[rule.Severity]}}
	if rule.Sentence != "" {
		out.ShortDescription = &sarifText{rule.Sentence}
	}
	if rule.Page != "" {
		out.Help = &sarifText{rule.Page}
	}
	return out
}

func (r *Report) result(f *Finding, rule int, fingerprint string) sarifResult {
	out := sarifResult{RuleID: f.Code, RuleIndex: rule, Level: sarifLevels[f.Severity], Message: sarifText{f.Summary},
		Fingerprints: map[string]string{sarifFingerprint: fingerprint}, Suppressions: []sarifSuppression{}}
	if f.Detail != "" {
		out.Message.Text += "\n" + f.Detail
	}
	if f.Waived != nil { // external: it stands in a waiver, not beside what it is about
		out.Suppressions = append(out.Suppressions, sarifSuppression{"external", "accepted", fmt.Sprintf("%s (until %s)", f.Waived.Reason, f.Waived.Expires)})
	}
	var at sarifLocation
	if uri := r.Place.URI(f.File); uri != "" {
		at.Physical = &sarifPhysical{Artifact: sarifArtifact{uri}}
		if f.Line > 0 {
			at.Physical.Region = &sarifRegion{f.Line, f.Column, max(f.Line, f.EndLine), f.EndColumn}
		}
	}
	if f.Service != "" {
		at.Logical = []sarifLogical{{f.Service, "resource"}}
	}
	if at.Physical != nil || at.Logical != nil {
		out.Locations = []sarifLocation{at}
	}
	return out
}
