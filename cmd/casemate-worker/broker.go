package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// brokerSocket is the SOCK_SEQPACKET socket to the broker on descriptor 0.
func brokerSocket() (*net.UnixConn, error) {
	f := os.NewFile(0, "broker")
	defer f.Close() // FileConn duplicates it
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("broker socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok || u.LocalAddr().Network() != "unixpacket" {
		return nil, errors.Join(errors.New("broker socket: descriptor 0 is not a unix packet socket"), c.Close())
	}
	return u, nil
}
