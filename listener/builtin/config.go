// Package builtin serves the built-in protocols: echo (RFC 862), discard
// (RFC 863), chargen (RFC 864), daytime (RFC 867) and time (RFC 868), over tcp,
// unix stream sockets and udp.
//
// Only casemate-worker runs it: unprivileged, sandboxed, one process per service,
// holding the service's own sockets. It enforces the same compiled rules as the
// broker does for programs (acl, acl/limit), and stricter ones for udp, where a
// source address proves nothing (see guard.go).
package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/journal"
)

// ConfigPath is where the worker finds its Config inside its own root.
const ConfigPath = "/etc/casemate/builtin.json"

// maxConfig bounds what Decode takes; a large host list is a few hundred KiB.
const maxConfig = 16 << 20

// Config is what the broker tells the worker about its service: constants of
// the compiled policy.
type Config struct {
	Service string `json:"service"`
	// Builtin is echo, discard, chargen, daytime or time.
	Builtin string `json:"builtin"`
	// ACL is the service's host rules; null admits nobody.
	ACL *acl.List `json:"acl"`
	// Limit is enforced over all sockets of the service together. Its penalties
	// come from tcp sessions only.
	Limit limit.Spec `json:"limit"`
	// Linger is how long the worker waits without a client before it exits, in
	// ns; less than a second counts as a second, so that a client whose wake-up
	// races with the end is not met by an endless row of workers.
	Linger time.Duration `json:"linger_ns"`
	// Digest goes into the records.
	Digest string `json:"digest"`
	// Origins are the places of the ACL's rules ("file:line:column"), for the
	// records; a rule without one is named by its number.
	Origins journal.Origins `json:"origins,omitempty"`
}

// Decode reads a Config strictly: unknown fields, a second value, values that the
// rules do not take are errors.
func Decode(r io.Reader) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("read the configuration: more than %d bytes", maxConfig)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var c Config
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode the configuration: data after its end")
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return &c, nil
}

func (c *Config) validate() error {
	if c.Service == "" {
		return errors.New("service: missing")
	}
	if _, ok := protocols[c.Builtin]; !ok {
		return fmt.Errorf("builtin: %q is not one of %s", c.Builtin, strings.Join(Names(), ", "))
	}
	if c.Linger < 0 {
		return fmt.Errorf("linger_ns: %v is negative", c.Linger)
	}
	if err := c.Limit.Validate(); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if _, err := acl.Compile(c.ACL); err != nil {
		return fmt.Errorf("acl: %w", err)
	}
	return nil
}
