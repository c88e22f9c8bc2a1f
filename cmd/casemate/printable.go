package main

import (
	"fmt"

	"casemate/cmd/casemate/output"
)

// oneLine is for what others chose and a person reads.
func oneLine(s string) string { return output.OneLine(s) }

// linef is printf of what others chose: each text among args goes through oneLine, and
// only format breaks lines. What is painted is not for it.
func (a *app) linef(format string, args ...any) { a.printf(format, onLine(args)...) }

// onLine has the texts among args on one line.
func onLine(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			out[i] = oneLine(v)
		case error, fmt.Stringer:
			out[i] = oneLine(fmt.Sprint(v))
		default:
			out[i] = v
		}
	}
	return out
}
