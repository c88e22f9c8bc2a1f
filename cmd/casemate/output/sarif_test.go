package output

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shape is the part of SARIF's schema that says what an object has: its properties, those that
// must be there with a "!" behind the name, and what each is: another shape, in a list with
// "[]" in front, or string, integer, or words that it is one of.
var shapes = map[string]map[string]string{
	"log":          {"$schema": "string", "version!": "2.1.0", "runs!": "[]run"},
	"run":          {"tool!": "tool", "columnKind": "utf16CodeUnits|unicodeCodePoints", "results": "[]result"},
	"tool":         {"driver!": "driver"},
	"driver":       {"name!": "string", "version": "string", "rules": "[]rule"},
	"rule":         {"id!": "string", "shortDescription": "text", "help": "text", "defaultConfiguration": "config"},
	"config":       {"level": "none|note|warning|error"},
	"text":         {"text!": "string"},
	"result":       {"ruleId": "string", "ruleIndex": "integer", "level": "none|note|warning|error", "message!": "text", "locations": "[]location", "partialFingerprints": "map", "suppressions": "[]suppression"},
	"location":     {"physicalLocation": "physical", "logicalLocations": "[]logical"},
	"physical":     {"artifactLocation!": "artifact", "region": "region"},
	"artifact":     {"uri": "uri"},
	"region":       {"startLine": "integer", "startColumn": "integer", "endLine": "integer", "endColumn": "integer"},
	"logical":      {"name": "string", "kind": "string"},
	"suppression":  {"kind!": "inSource|external", "status": "accepted|underReview|rejected", "justification": "string"},
	"fingerprints": {},
}

func conform(v any, shape, at string) (wrong []string) {
	fail := func(format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	}
	if of, ok := strings.CutPrefix(shape, "[]"); ok {
		list, ok := v.([]any)
		if !ok {
			fail("not a list")
		}
		for i, item := range list {
			wrong = append(wrong, conform(item, of, fmt.Sprintf("%s[%d]", at, i))...)
		}
		return wrong
	}
	if fields, ok := shapes[shape]; ok {
		object, ok := v.(map[string]any)
		if !ok {
			fail("not an object")
		}
		for name, of := range fields {
			name, must := strings.CutSuffix(name, "!")
			value, there := object[name]
			if must && !there {
				fail("%s is missing", name)
			}
			if there {
				wrong = append(wrong, conform(value, of, at+"."+name)...)
			}
		}
		for name := range object {
			_, optional := fields[name]
			if _, must := fields[name+"!"]; !optional && !must {
				fail("%s is not of the format", name)
			}
		}
		return wrong
	}
	s, isText := v.(string)
	switch n, isNumber := v.(float64); shape {
	case "integer":
		if !isNumber || n != float64(int(n)) || n < 1 && !strings.HasSuffix(at, "ruleIndex") {
			fail("%v is no number from 1", v)
		}
	case "map":
		if m, ok := v.(map[string]any); !ok || len(m) == 0 {
			fail("no fingerprint")
		}
	case "uri":
		if u, err := url.Parse(s); err != nil || u.IsAbs() || strings.HasPrefix(s, "/") || strings.Contains(s, "..") || strings.Contains(s, `\`) {
			fail("%q is no relative URI", s)
		}
	case "string":
		if !isText {
			fail("%v is no text", v)
		}
	default:
		if !slices.Contains(strings.Split(shape, "|"), s) {
			fail("%q is none of %s", s, shape)
		}
	}
	return wrong
}

// TestSARIF holds a log to the structure of SARIF 2.1.0 and to what code scanning needs of it.
func TestSARIF(t *testing.T) {
	r := nastyReport()
	text := written(t, r.WriteSARIF)
	var log any
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	for _, w := range conform(log, "log", "log") {
		t.Error(w)
	}
	if strings.Contains(text, "/repo") || strings.Contains(text, "\"/") {
		t.Errorf("an absolute path: %s", text)
	}
	run := log.(map[string]any)["runs"].([]any)[0].(map[string]any)
	rules := run["tool"].(map[string]any)["driver"].(map[string]any)["rules"].([]any)
	results := run["results"].([]any)
	if len(results) != 5 {
		t.Fatalf("%d results", len(results))
	}
	for i, one := range results {
		result := one.(map[string]any)
		if rule := rules[int(result["ruleIndex"].(float64))].(map[string]any); rule["id"] != result["ruleId"] {
			t.Errorf("result %d is of rule %v and points at %v", i, result["ruleId"], rule["id"])
		}
		if waived := len(result["suppressions"].([]any)) > 0; waived != (r.Findings[i].Waived != nil) {
			t.Errorf("result %d: suppressed %v", i, waived)
		}
	}
	// What is wrong is seen: a check that takes everything would prove nothing.
	for _, change := range [][2]string{{`"version": "2.1.0"`, `"version": "2.0.0"`}, {`"level": "error"`, `"level": "fatal"`}, {`"uri": "`, `"uri": "/`}, {`"startLine": 3`, `"startLine": 0`}, {`"kind": "external"`, `"kinds": "external"`}} {
		var broken any
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text || json.Unmarshal([]byte(changed), &broken) != nil || len(conform(broken, "log", "log")) == 0 {
			t.Errorf("%s in place of %s is taken", change[1], change[0])
		}
	}
}

// TestFingerprints: unique for each finding, and the same when lines are put above it.
func TestFingerprints(t *testing.T) {
	r := nastyReport()
	r.Findings[0].Summary, r.Findings[1].Summary = "as the one at a.cm.hcl:12:3", "as the one at a.cm.hcl:12:3"
	before := fingerprints(r.Findings, r.Place.URI)
	for i := range before {
		if slices.Contains(before[:i], before[i]) || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(before[i]) {
			t.Errorf("finding %d: %s", i, before[i])
		}
	}
	for i := range r.Findings {
		r.Findings[i].Line += 7
		r.Findings[i].Summary = strings.ReplaceAll(r.Findings[i].Summary, ":12:3", ":19:3")
	}
	if after := fingerprints(r.Findings, r.Place.URI); !slices.Equal(before, after) {
		t.Errorf("moved lines change %v to %v", before, after)
	}
}
