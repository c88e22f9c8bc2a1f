package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// rows are one of each kind that a part adds.
func rows() results {
	var rs results
	served := result{Work: "served", Unit: "conn/s", Ours: 1650.4, Peers: []figure{{"inetd", 1200}, {"xinetd", 1500.6}}, Floor: new(2200.0)}
	rs.add(served.to("inetd", estimate{1.4, 1.2, 1.5}, atLeast(1.25)))
	rs.add(served.to("xinetd", estimate{1.1, 1.05, 1.149}, atLeast(1.25)), served.to("C", estimate{0.75, 0.7, 0.8}, nil))
	rs.add(result{Work: "echoes", Unit: "lost", Peers: []figure{{"tcpserver", 12}}, Aim: atMost(0)})
	rs.add(result{Work: "memory", Unit: "MiB", Ours: 8.26})
	return rs
}

func TestMet(t *testing.T) {
	ratio := func(v float64) *estimate { return &estimate{v, v, v} }
	for _, c := range []struct {
		name      string
		row       result
		met, held bool
	}{
		{"nothing asked", result{Ours: 1}, false, false},
		{"at least, by ratio and not by ours", result{Ours: 1, Ratio: ratio(1.3), Aim: atLeast(1.25)}, true, true},
		{"short of it, though ours is more", result{Ours: 9, Ratio: ratio(1.2), Aim: atLeast(1.25)}, false, true},
		{"just so much", result{Ratio: ratio(1.25), Aim: atLeast(1.25)}, true, true},
		{"at most", result{Ratio: ratio(0.8), Aim: atMost(0.8)}, true, true},
		{"more than that", result{Ratio: ratio(0.81), Aim: atMost(0.8)}, false, true},
		{"ours, where nothing is compared", result{Ours: 0, Aim: atMost(0)}, true, true},
		{"one too many", result{Ours: 1, Aim: atMost(0)}, false, true},
		{"no number at least", result{Ratio: ratio(math.NaN()), Aim: atLeast(0)}, false, true},
		{"no number at most", result{Ours: math.NaN(), Aim: atMost(1)}, false, true},
	} {
		if met, held := c.row.met(); met != c.met || held != c.held {
			t.Errorf("%s: met %v, held %v", c.name, met, held)
		}
	}
	if missed := rows().missed(); len(missed) != 1 || missed[0].Against != "xinetd" {
		t.Errorf("missed: %+v", missed)
	}
}

// TestSummary: a column for each peer that any row asked, and a dash where it was not.
func TestSummary(t *testing.T) {
	var out strings.Builder
	rows().summary("Note.").print(&out)
	want := `
### Summary

Note.

| work | ours | inetd | xinetd | tcpserver | floor | against | ratio | spread | aim | met |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| served, conn/s | 1650 | 1200 | 1501 | - | 2200 | inetd | 1.40 | 1.20..1.50 | at least 1.25 | yes? |
| served, conn/s | 1650 | 1200 | 1501 | - | 2200 | xinetd | 1.10 | 1.05..1.15 | at least 1.25 | **no** |
| served, conn/s | 1650 | 1200 | 1501 | - | 2200 | C | 0.75 | 0.70..0.80 | - | - |
| echoes, lost | 0 | - | - | 12 | - | - | - | - | at most 0 | yes |
| memory, MiB | 8.26 | - | - | - | - | - | - | - | - | - |
`
	if out.String() != want {
		t.Errorf("%s\nwant%s", out.String(), want)
	}
}

// TestRecord: what is written reads back as it was, under the names that readers go by, and replaces what was there.
func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	if err := os.WriteFile(path, []byte(strings.Repeat("longer than what comes\n", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	made := record{FormatVersion: recordFormat, Date: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Version: "1.2.3",
		Machine: machine{"a processor", 2, "6.18.5", 8 << 30, 0.25}, Rounds: 7, Span: "1s"}
	if err := made.write(path, rows(), []sweep{{"acl", "prefixes", []point{{100, interval{900, 800, 950}, interval{4, 3, 5}}}}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back record
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var again results
	for _, j := range back.Results {
		again.add(j.result)
	}
	if !reflect.DeepEqual(again, rows()) || back.Machine != made.Machine || !back.Date.Equal(made.Date) {
		t.Errorf("read back as %+v\n%s", back, text)
	}
	var loose map[string]any
	if err := json.Unmarshal(text, &loose); err != nil {
		t.Fatal(err)
	}
	first := loose["results"].([]any)[1].(map[string]any)
	if loose["format_version"] != 1.0 || loose["date"] != "2026-11-27T12:00:00Z" || loose["machine"].(map[string]any)["memory_bytes"] != 8589934592.0 ||
		first["met"] != false || first["aim"].(map[string]any)["least"] != 1.25 || first["ratio"].(map[string]any)["low"] != 1.05 {
		t.Errorf("%s", text)
	}
	if at := loose["sweeps"].([]any)[0].(map[string]any)["points"].([]any)[0].(map[string]any); at["size"] != 100.0 || at["conn_per_second"].(map[string]any)["low"] != 800.0 {
		t.Errorf("%s", text)
	}
	if _, there := loose["results"].([]any)[4].(map[string]any)["met"]; there {
		t.Errorf("a row that is held to nothing is met or not:\n%s", text)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestUntold: a ratio of nothing to nothing takes no run's file away, and meets no aim.
func TestUntold(t *testing.T) {
	path, nan := filepath.Join(t.TempDir(), "bench.json"), math.NaN()
	if err := (record{}).write(path, results{result{}.to("x", estimate{nan, nan, nan}, atMost(1)), {Ours: 1, Ratio: &estimate{1, nan, nan}}}, nil); err != nil {
		t.Fatal(err)
	}
	var back record
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &back) != nil || len(back.Results) != 2 || back.Results[0].Ratio != nil || *back.Results[0].Met {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestModelOf: the name of the first processor, which arm64 does not have there.
func TestModelOf(t *testing.T) {
	for text, want := range map[string]string{
		"processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC: 2nd\nmodel name\t: other\n": "AMD EPYC: 2nd",
		"processor\t: 0\nBogoMIPS\t: 50.00\n":                                              "",
	} {
		if got := modelOf(text); got != want {
			t.Errorf("%q of %q", got, text)
		}
	}
	m, err := thisMachine()
	if err != nil || m.Cores < 1 || m.CPU == "" || m.Memory < 1<<20 || !strings.Contains(m.Kernel, ".") {
		t.Errorf("%+v, %v", m, err)
	}
}
