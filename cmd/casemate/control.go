package main

import (
	"bytes"
	"casemate/cmd/casemate/output"
	"casemate/policy/control"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

const (
	// askTimeout is long enough for a reload of a large policy with its
	// compiler's own deadline inside it.
	askTimeout  = 60 * time.Second
	maxResponse = 64 << 20 // bytes of an answer
)

// ask sends one request to casemated and returns its answer.
func (a *app) ask(req control.Request) (*control.Response, error) {
	resp, _, err := a.askAll(req)
	return resp, err
}

// askAll is ask with what follows the answer's line. An answer that says no is an
// error; its diagnostics are printed first.
func (a *app) askAll(req control.Request) (*control.Response, []byte, error) {
	req.FormatVersion = control.Format
	conn, err := net.DialTimeout("unix", a.control, 5*time.Second)
	if err != nil {
		return nil, nil, unreachable(a.control, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, nil, fmt.Errorf("ask casemated: %w", err)
	}
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return nil, nil, fmt.Errorf("ask casemated: %w", err)
	}
	all, err := io.ReadAll(io.LimitReader(conn, maxResponse))
	if err != nil {
		return nil, nil, fmt.Errorf("ask casemated: read the answer: %w", err)
	}
	line, rest, whole := bytes.Cut(all, []byte{'\n'})
	if !whole {
		return nil, nil, errors.New("ask casemated: its broker ended before it had answered: ask again, and look into its log")
	}
	var resp control.Response
	if err := json.Unmarshal(line, &resp); err != nil {
		return nil, nil, fmt.Errorf("ask casemated: read the answer: %w", err)
	}
	if resp.FormatVersion != control.Format {
		return nil, nil, fmt.Errorf("ask casemated: format_version %d is not known, expected %d: casemate and casemated are of different versions",
			resp.FormatVersion, control.Format)
	}
	if resp.OK {
		return &resp, rest, nil
	}
	a.diagnose(resp.Diagnostics)
	if !a.json() && resp.Unmet != "" { // casemated has compared, and the answer is no
		fmt.Fprintf(a.err, "casemate: casemated: %s\n", output.EachLine(resp.Error))
		return nil, nil, errNo
	}
	if !a.json() {
		return nil, nil, fmt.Errorf("casemated: %s", resp.Error)
	}
	fmt.Fprintf(a.err, "casemate: casemated: %s\n", output.EachLine(resp.Error))
	if err := a.printJSON(resp); err != nil || resp.Unmet == "" {
		return nil, nil, errors.Join(err, errReported)
	}
	return nil, nil, errNo
}

// unreachable says what stands between us and the control socket.
func unreachable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("ask casemated: %s does not exist: start casemated, or name its socket with --control", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ask casemated: %s: permission denied: run as root, or to look alone as a member of the group of casemated --operators", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("ask casemated: %s: nobody listens: start casemated", path)
	}
	return fmt.Errorf("ask casemated: %w", err)
}
