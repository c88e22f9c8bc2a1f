// Package builtin serves the built-in protocols: echo (RFC 862), discard
// (RFC 863), chargen (RFC 864), qotd (RFC 865), daytime (RFC 867) and time (RFC 868), over tcp,
// unix stream sockets and udp, auth (RFC 1413) over the first two,
// and tcpmux (RFC 1078), which hands its clients over to the broker for other services.
//
// Only casemate-worker runs it: unprivileged, sandboxed, one process per service,
// holding the service's own sockets. It enforces the same compiled rules as the
// broker does for programs (acl/decide, acl/limit/admission), and stricter ones for udp, where a
// source address proves nothing (see guard.go).
package builtin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"casemate/acl/decide"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
)

// Config is what the broker tells the worker about its service.
type Config = wire.Builtin

// maxConfig bounds what Decode takes; a large host list is a few hundred KiB.
const maxConfig = 16 << 20

// Decode reads a Config strictly, and refuses values that the rules do not take.
func Decode(r io.Reader) (*Config, error) {
	in := &io.LimitedReader{R: r, N: maxConfig + 1}
	text, err := bufio.NewReader(in).ReadBytes('\n') // behind it lies what changes: wire.SaidAt
	if errors.Is(err, io.EOF) {
		err = nil
	}
	var c *Config
	switch {
	case len(text) > maxConfig:
		err = fmt.Errorf("read the configuration: more than %d bytes", maxConfig)
	case err == nil:
		c, err = far.DecodeBuiltin(bytes.NewReader(text))
	}
	if err != nil {
		return nil, err
	}
	if err := validate(c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

func validate(c *Config) error {
	if c.Service == "" {
		return errors.New("service: missing")
	}
	if _, ok := protocols[c.Builtin]; !ok {
		return fmt.Errorf("builtin: %q is not one of %s", c.Builtin, strings.Join(Names(), ", "))
	}
	if c.Builtin == "qotd" && len(c.Says) == 0 {
		return errors.New("says: qotd has no quote")
	}
	if c.Linger < 0 || c.Idle < 0 {
		return fmt.Errorf("linger_ns or idle_ns: %v is negative", min(c.Linger, c.Idle))
	}
	if _, err := decide.Compile(c.ACL); err != nil {
		return fmt.Errorf("acl: %w", err)
	}
	return nil
}
