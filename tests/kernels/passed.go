package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// passed is the list of the tests that have passed on a machine, which the next run there leaves out: emulated, all of them
// take longer than many a run may. The file's first line is what they passed with, and each one after it a test, written
// as it passes, so that a run that is ended keeps what it has come to.
type passed struct {
	file  *os.File // nil keeps none
	tests []string // "SUITE TEST", of earlier runs
}

// readPassed opens the list at path, which begins anew where it is of another key. With key "" there is none.
func readPassed(path, key string) (*passed, error) {
	if key == "" {
		return &passed{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	p := new(passed)
	whole := string(text[:strings.LastIndexByte(string(text), '\n')+1]) // a run may have been ended within a line
	first, rest, _ := strings.Cut(whole, "\n")
	if first == key {
		for line := range strings.Lines(rest) {
			p.tests = append(p.tests, strings.TrimSuffix(line, "\n"))
		}
	} else {
		whole = key + "\n"
	}
	if err := os.WriteFile(path+".new", []byte(whole), 0o644); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	p.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return p, err
}

// add notes that a test of a suite has passed.
func (p *passed) add(test string) error {
	if p.file == nil {
		return nil
	}
	_, err := fmt.Fprintln(p.file, test)
	return err
}

// skips are the patterns of go test's -skip for the suites, by name: of the tests that have passed, to the letter.
func (p *passed) skips() map[string]string {
	names := map[string][]string{}
	for _, t := range p.tests {
		if suite, test, ok := strings.Cut(t, " "); ok {
			names[suite] = append(names[suite], regexp.QuoteMeta(test))
		}
	}
	out := map[string]string{}
	for suite, list := range names {
		out[suite] = "^(" + strings.Join(list, "|") + ")$"
	}
	return out
}

// commit is what the tests are of: the commit that is checked out, "" where something in its tree has been changed.
func commit(ctx context.Context) (string, error) {
	changed, err := output(ctx, "", "git", "status", "--porcelain")
	if err != nil || len(changed) > 0 {
		return "", err
	}
	head, err := output(ctx, "", "git", "rev-parse", "HEAD")
	return strings.TrimSpace(string(head)), err
}
