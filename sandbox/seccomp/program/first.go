package program

import (
	"embed"
	"runtime"
)

//go:generate go run ../internal/genfirst

//go:embed first_*.bpf
var first embed.FS

// First is the filter of casemate-filter itself (launch.FirstShape), before there is one to ask.
func First() (f Filter) {
	f.Program, _ = first.ReadFile("first_" + runtime.GOARCH + ".bpf") // tested; nothing is no program
	return f
}
