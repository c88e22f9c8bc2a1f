package builtin

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"casemate/listener/journal"
)

// TestNetworkOfPackets: a client of packets is one in the record too.
func TestNetworkOfPackets(t *testing.T) {
	at := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"}
	l, err := net.ListenUnix(at.Net, at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	networks := make(chan string, 1)
	s, err := newServer(config("echo"), nil, []*os.File{f}, func(r journal.Record) {
		if d, ok := r.(*journal.Decision); ok {
			networks <- d.Network
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(t.Context()) }()
	c, err := net.DialUnix(at.Net, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := <-networks; got != "unixpacket" {
		t.Errorf("network %q", got)
	}
}
