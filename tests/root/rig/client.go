package rig

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// clientTimeout bounds every exchange with a service.
const clientTimeout = 40 * time.Second

// Dial connects to a loopback port.
func Dial(port string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", port), clientTimeout)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c.(*net.TCPConn), nil
}

// Exchange connects, sends, closes its sending half and reads to the end.
func Exchange(port, send string) (string, error) {
	c, err := Dial(port)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if send != "" {
		if _, err := c.Write([]byte(send)); err != nil {
			return "", fmt.Errorf("send to port %s: %w", port, err)
		}
	}
	// Not connected any more: the service has answered and is through already.
	if err := c.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return "", fmt.Errorf("half-close to port %s: %w", port, err)
	}
	out, err := readAll(c)
	return string(out), err
}
