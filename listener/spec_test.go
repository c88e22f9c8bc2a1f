package listener

import (
	"testing"

	"casemate/listener/endpoint"
)

func TestKeyLeavesOutWhatReconfigureChanges(t *testing.T) {
	a := Spec{Endpoint: endpoint.Endpoint{Network: "unix", Path: "/run/x.sock"}, Mode: 0o600, UID: 1, Backlog: 5}
	b := Spec{Endpoint: endpoint.Endpoint{Network: "unix", Path: "/run/x.sock"}, Mode: 0o666, UID: 2, Wait: true}
	if a.Key() != b.Key() || a.Key() != "unix:/run/x.sock" {
		t.Errorf("keys %q and %q", a.Key(), b.Key())
	}
}
