// Package runtimes is the table of programs that run what others wrote: which of them make machine code as they run, and whose
// first argument is a file that they read.
package runtimes

import (
	"path"
	"slices"
	"strings"
)

// Runtime is a program by the name of its file, without a version.
type Runtime struct {
	Name string
	// Compiles: it writes machine code into memory and executes it, and ends, or is no use, where it may not. Without is the option
	// that has it interpret instead, "" for none.
	Compiles bool
	Without  string
	// Script: an argument that is a file is what it runs. After is the option that stands before that, "" for none.
	Script bool
	After  string
}

// table is of what Debian's packages of that name do.
var table = []Runtime{
	{Name: "node", Compiles: true, Without: "--jitless", Script: true}, {Name: "nodejs", Compiles: true, Without: "--jitless", Script: true},
	{Name: "deno", Compiles: true}, {Name: "bun", Compiles: true, Script: true}, {Name: "java", Compiles: true, Script: true, After: "-jar"},
	{Name: "dotnet", Compiles: true, Script: true}, {Name: "mono", Compiles: true, Without: "--interpreter", Script: true}, {Name: "pypy", Compiles: true, Script: true},
	{Name: "luajit", Compiles: true, Without: "-joff", Script: true}, {Name: "julia", Compiles: true, Script: true}, {Name: "gjs", Compiles: true, Script: true},
	{Name: "beam.smp", Compiles: true}, {Name: "erl", Compiles: true}, {Name: "elixir", Compiles: true, Script: true},
	{Name: "perl", Script: true}, {Name: "python", Script: true}, {Name: "ruby", Script: true}, {Name: "php", Script: true}, {Name: "lua", Script: true}, {Name: "tclsh", Script: true},
	{Name: "sh", Script: true}, {Name: "bash", Script: true}, {Name: "dash", Script: true}, {Name: "ksh", Script: true}, {Name: "zsh", Script: true},
}

// Of is the runtime that a command begins, also under a name with a version (python3.11), nil for none that is known.
func Of(command []string) *Runtime {
	if len(command) == 0 {
		return nil
	}
	name := path.Base(command[0])
	plain := strings.TrimRight(name, "0123456789.-")
	i := slices.IndexFunc(table, func(r Runtime) bool { return r.Name == name || r.Name == plain })
	if i < 0 {
		return nil
	}
	return &table[i]
}

// CompilesIn tells whether it makes machine code with these arguments.
func (r *Runtime) CompilesIn(args []string) bool {
	return r != nil && r.Compiles && (r.Without == "" || !slices.Contains(args, r.Without))
}

// ScriptIn is the absolute path of the file among the arguments that it runs, "" where that is not certain: behind an option that may
// take the next word, or where the program itself stands in an option (-c, -e, -m).
func (r *Runtime) ScriptIn(args []string) string {
	if r == nil || !r.Script {
		return ""
	}
	if r.After != "" {
		i := slices.Index(args, r.After)
		args = args[i+1:]
		if i < 0 {
			return ""
		}
	}
	for _, a := range args {
		switch {
		case path.IsAbs(a):
			return a
		case a == "--":
		case len(a) < 2 || a[0] != '-' || strings.ContainsAny(a, "cemECIXrWpQ") && a[1] != '-':
			return ""
		}
	}
	return ""
}
