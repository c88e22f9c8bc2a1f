package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// recordFormat is the format_version of what a run writes: it rises where a reader of the one before would be misled.
const recordFormat = 1

// record is a run as JSON.
type record struct {
	FormatVersion int       `json:"format_version"`
	Date          time.Time `json:"date"`    // of the start, UTC
	Version       string    `json:"version"` // of casemated, as it says itself
	Machine       machine   `json:"machine"`
	Rounds        int       `json:"rounds"`
	Span          string    `json:"span"`
	Results       []judged  `json:"results"`
	Sweeps        []sweep   `json:"sweeps,omitempty"`
}

// judged is a result with what comes of its aim, which nobody has to work out again.
type judged struct {
	result
	Met *bool `json:"met,omitempty"`
}

// machine is what figures of a run hang on.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"` // that the run may use
	Kernel string `json:"kernel"`
	Memory int64  `json:"memory_bytes"`
	// Load is its load average of the minute before the run: what is far above 0 is somebody else's.
	Load float64 `json:"load_before"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %.1f GiB, Linux %s, load before it %.1f", m.CPU, m.Cores, float64(m.Memory)/(1<<30), m.Kernel, m.Load)
}

// thisMachine asks the kernel.
func thisMachine() (machine, error) {
	m := machine{Cores: runtime.NumCPU(), CPU: runtime.GOARCH}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, fmt.Errorf("uname: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, fmt.Errorf("sysinfo: %w", err)
	}
	m.Memory, m.Load = int64(info.Totalram)*int64(info.Unit), float64(info.Loads[0])/(1<<16)
	text, err := os.ReadFile("/proc/cpuinfo")
	if model := modelOf(string(text)); model != "" {
		m.CPU = model
	}
	return m, err
}

// modelOf is the processor's name in the text of /proc/cpuinfo, which not every architecture has there.
func modelOf(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// versionOf is the last word of casemated --version.
func versionOf(libexec string) (string, error) {
	out, err := exec.Command(filepath.Join(libexec, "casemated"), "--version").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 {
		return "", fmt.Errorf("casemated --version: %q, %w", out, err)
	}
	return words[len(words)-1], nil
}

// about is the record of a run that has yet to measure anything.
func (b *bench) about() (record, error) {
	r := record{FormatVersion: recordFormat, Date: time.Now().UTC().Truncate(time.Second), Rounds: b.rounds, Span: b.span.String()}
	var err error
	if r.Machine, err = thisMachine(); err != nil {
		return r, err
	}
	r.Version, err = versionOf(b.libexec)
	return r, err
}

// note says over the table what its figures hang on, and how they are read.
func (r record) note() string {
	return fmt.Sprintf("casemate %s on %s, %s. Figures are medians of rounds in turns; a ratio is ours to that of against, the median of the rounds' own "+
		"or one of sums for processor time, and its spread holds the true one in 95 of 100 runs. An aim is held against the ratio, or against ours where there is none; with ? it lies within the spread.",
		r.Version, r.Date.Format(time.DateOnly), r.Machine)
}

// write puts the record into a file, whole or not at all.
func (r record) write(path string, rows results, sweeps []sweep) error {
	r.Results, r.Sweeps = []judged{}, sweeps
	for _, row := range rows {
		j := judged{result: row}
		if row.Ratio != nil && math.IsNaN(row.Ratio.Ratio+row.Ratio.Low+row.Ratio.High) {
			j.Ratio = nil // it could not be told, and has no word in JSON; the row is not met
		}
		if met, held := row.met(); held {
			j.Met = &met
		}
		r.Results = append(r.Results, j)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	part := path + ".new"
	if err := os.WriteFile(part, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
