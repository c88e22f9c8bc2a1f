package resource

import (
	"testing"

	"casemate/sandbox"
)

// Every resource has a whole row.
func TestRows(t *testing.T) {
	for i, row := range Rows {
		if row.Doc == "" || row.Example == "" {
			t.Errorf("%s: %+v", sandbox.ResourceRows[i].Name, row)
		}
	}
}
