package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/tests/need"
)

// Prebuilt is the variable that names a folder of programs that Build has made,
// for a machine without a compiler.
const Prebuilt = "CASEMATE_PREBUILT"

// Compile makes a program of a test's testdata, from one C file or from a folder
// of them, and puts it into a folder that every user can read.
func Compile(t testing.TB, source string) string {
	t.Helper()
	out := filepath.Join(PublicDir(t), "program")
	if dir := os.Getenv(Prebuilt); dir != "" {
		program, err := os.ReadFile(filepath.Join(dir, ProgramName(source)))
		if err == nil {
			err = os.WriteFile(out, program, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	need.Programs(t, "gcc")
	if err := Build("gcc", source, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// ProgramName is what the program of a source is called in the folder of prebuilt ones.
func ProgramName(source string) string { return strings.TrimSuffix(filepath.Base(source), ".c") }

// Build compiles a C file, or all those of a folder, into one static program, with the given compiler. A
// line " * gcc: FLAG..." in a source adds flags.
func Build(compiler, source, out string) error {
	sources := []string{source}
	if !strings.HasSuffix(source, ".c") {
		var err error
		if sources, err = filepath.Glob(filepath.Join(source, "*.c")); err != nil || len(sources) == 0 {
			return errors.Join(err, fmt.Errorf("%s holds no C source", source))
		}
	}
	args := append([]string{"-static", "-O1", "-Wall", "-Werror", "-o", out}, sources...)
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if flags, ok := strings.CutPrefix(line, " * gcc: "); ok {
				args = append(args, strings.Fields(flags)...)
			}
			if strings.Contains(line, " -static-pie") { // in place of the other
				args = slices.DeleteFunc(args, func(a string) bool { return a == "-static" })
			}
		}
	}
	if text, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", source, err, text)
	}
	return nil
}
