package rig

import (
	"bufio"
	"casemate/policy/control"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

// ask speaks the control protocol: one JSON line each way.
func ask(path string, r control.Request) (*control.Response, error) {
	c, err := net.DialTimeout("unix", path, 30*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return nil, fmt.Errorf("send %s: %w", r.Verb, err)
	}
	var a control.Response
	if err := json.NewDecoder(bufio.NewReader(c)).Decode(&a); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", r.Verb, err)
	}
	return &a, nil
}

// Record is one line of the broker's log.
type Record map[string]any

// Str is the field as text; numbers are printed.
func (r Record) Str(key string) string {
	switch v := r[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprint(v)
	}
}

// Records reads the log. A line that is no JSON object is an error: whatever a
// client or a service did, it must not have broken the log.
func (b *Broker) Records() ([]Record, error) { return b.records(false) }

// WholeRecords is Records of a log whose disk was full: where a line was begun and
// not ended, it is passed over.
func (b *Broker) WholeRecords() ([]Record, error) { return b.records(true) }

func (b *Broker) records(torn bool) ([]Record, error) {
	f, err := os.Open(b.LogFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Record
		err := json.Unmarshal(lines.Bytes(), &r)
		switch {
		case err == nil:
			out = append(out, r)
		case !torn:
			return nil, fmt.Errorf("log line %q: %w", lines.Text(), err)
		}
	}
	return out, lines.Err()
}

// Find returns the records whose fields equal all of the pairs (key, value, ...).
func (b *Broker) Find(pairs ...string) ([]Record, error) {
	all, err := b.Records()
	if err != nil {
		return nil, err
	}
	var out []Record
next:
	for _, r := range all {
		for i := 0; i+1 < len(pairs); i += 2 {
			if r.Str(pairs[i]) != pairs[i+1] {
				continue next
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// Await waits until at least n records match and returns them.
func (b *Broker) Await(n int, limit time.Duration, pairs ...string) ([]Record, error) {
	var got []Record
	err := Until(limit, func() error {
		var err error
		if got, err = b.Find(pairs...); err != nil {
			return err
		}
		if len(got) < n {
			return fmt.Errorf("%d log records with %q, want %d", len(got), pairs, n)
		}
		return nil
	})
	return got, err
}
