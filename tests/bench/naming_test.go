package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestUnasked: the one line that compareNaming builds a casemated without is still there, which no build says.
func TestUnasked(t *testing.T) {
	text, err := unasked(filepath.Join("../..", asksIn))
	if err != nil || bytes.Contains(text, []byte(asks)) || !bytes.Contains(text, []byte("s.Start.Listen = false")) {
		t.Errorf("%v\n%s", err, text)
	}
}
