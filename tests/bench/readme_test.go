package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadme: the table comes between the two lines, with the marked rows alone, in place of the one before; and the README has them.
func TestReadme(t *testing.T) {
	dir := t.TempDir()
	file, readme := filepath.Join(dir, "bench.json"), filepath.Join(dir, "README.md")
	rs := rows()
	rs[1].Brief, rs[4].Brief = true, true
	made := record{FormatVersion: recordFormat, Date: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Machine: machine{"a processor", 2, "6.18.5", 8 << 30, 0.25}}
	if err := made.write(file, rs, nil); err != nil {
		t.Fatal(err)
	}
	want := "# Before\n" + readmeBegin + `Measured on 2026-11-27: a processor, 2 cores, 8.0 GiB, Linux 6.18.5, load before it 0.2; in brackets what holds the true ratio in 95 of 100 runs.

|  | casemate | against | ratio | aim |
|---|---:|---:|---:|---:|
| served, conn/s | 1650 | xinetd: 1501 | 1.10 (1.05 to 1.15) | at least 1.25 |
| memory, MiB | 8.26 |  |  |  |
` + readmeEnd + "After.\n"
	for _, old := range []string{"", "what was there\n", want} {
		if old != want {
			old = "# Before\n" + readmeBegin + old + readmeEnd + "After.\n"
		}
		if err := os.WriteFile(readme, []byte(old), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := writeReadme(readme, file); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(readme); err != nil || string(got) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
	if err := os.WriteFile(readme, []byte("# None\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeReadme(readme, file); err == nil || !strings.Contains(err.Error(), "two lines") {
		t.Errorf("without the lines: %v", err)
	}
	ours, err := os.ReadFile("../../README.md")
	if err != nil || strings.Count(string(ours), readmeBegin) != 1 || strings.Count(string(ours), readmeEnd) != 1 {
		t.Errorf("the README does not have each of the lines once (%v)", err)
	}
	made.FormatVersion++
	if err := made.write(file, rs, nil); err != nil {
		t.Fatal(err)
	}
	if err := writeReadme(readme, file); err == nil || !strings.Contains(err.Error(), "format_version 2") {
		t.Errorf("another format: %v", err)
	}
}
