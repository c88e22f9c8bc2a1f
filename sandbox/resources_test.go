package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every resource has a row, and its own name.
func TestResourceRows(t *testing.T) {
	seen := map[string]bool{}
	for i, row := range ResourceRows {
		if row.Name == "" || row.Min < 1 || row.Max <= row.Min || seen[row.Name] {
			t.Errorf("row %d: %+v", i, row)
		}
		seen[row.Name] = true
	}
}

// What is written is read again; a name that is no resource is not.
func TestResourcesJSON(t *testing.T) {
	r := Resources{Memory: 1 << 20, Locked: 4096, CPU: 500}
	text, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(text), `{"memory":1048576,"processes":0,"cpu":500,`) {
		t.Fatalf("%s (%v)", text, err)
	}
	var back Resources
	if err := json.Unmarshal(text, &back); err != nil || back != r {
		t.Errorf("%+v (%v)", back, err)
	}
	for _, bad := range []string{`{"memori":1}`, `{"memory":"1"}`, `[]`, `{"memory":1.5}`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
