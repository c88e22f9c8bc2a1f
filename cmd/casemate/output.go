package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"casemate/cmd/casemate/output"
	"casemate/policy"

	"github.com/spf13/cobra"
)

// forms are the ways in which a verb writes what it found. That of text prints as any verb does, to
// app's streams, and has no use for its writer.
type forms map[output.Format]func(w io.Writer) error

// formats says which formats a verb has beside text and JSON, and gives it --output-into. Its
// answer is for emit.
func (a *app) formats(cmd *cobra.Command, more ...output.Format) {
	has := []output.Format{}
	for _, f := range output.All { // in one order everywhere
		if f == output.Text || f == output.JSON || slices.Contains(more, f) {
			has = append(has, f)
		}
	}
	if a.written == nil {
		a.written = map[*cobra.Command]*output.Into{}
	}
	a.written[cmd] = &output.Into{Formats: has}
	cmd.Flags().Var(a.written[cmd], "output-into", "also write to a file, in a format of -o: FORMAT=FILE (repeatable)")
}

// pages says of a verb that a page is what it writes, and its facts as JSON.
func (a *app) pages(cmd *cobra.Command) {
	a.formats(cmd)
	a.written[cmd].Formats = []output.Format{output.HTML, output.JSON}
}

// formatsOf are the words of -o of a verb.
func (a *app) formatsOf(cmd *cobra.Command) []output.Format {
	if into := a.written[cmd]; into != nil {
		return into.Formats
	}
	return output.Plain
}

// emit writes what a verb found as -o asks, and to each file of --output-into.
func (a *app) emit(f forms) error {
	err := f[output.Format(a.format)](a.out)
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if a.into == nil {
		return nil
	}
	return a.into.Write(func(format output.Format, w io.Writer) error {
		if format != output.Text {
			return f[format](w)
		}
		saved := *a
		a.out, a.err, a.format, a.colored, a.coloring = w, w, string(format), false, false
		err := f[format](w)
		saved.broken = a.broken
		*a = saved
		return err
	})
}

// writeJSON writes v indented. v must carry format_version.
func writeJSON(w io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	if err == nil {
		_, err = w.Write(output.EscapeJSON(text.Bytes()))
	}
	return err
}

// diagnose writes diagnostics to standard error.
func (a *app) diagnose(ds []policy.Diagnostic) {
	_ = output.WriteText(a.err, output.Of(ds), a.coloring) // there is nobody to tell
}

// count writes "1 error" or "3 errors and 1 warning".
func count(ds []policy.Diagnostic) string { return output.Count(output.Of(ds)) }
