package seccomp

import "slices"

// writers are the calls that get what a program chooses into pages that only execute: a file in memory that is mapped
// once to be written and once to be executed, a traced process's memory, a page that a fault is answered with.
var writers = []string{"memfd_create", "ptrace", "userfaultfd"}

// WithoutWritten gives what is left of normalized rules for a program that shall execute nothing it
// has written: no page is mapped to be both, none becomes executable afterwards (mprotect,
// pkey_mprotect, shmat, a personality in which all that is read is executed), and no other call writes there.
// The result is normalized.
func WithoutWritten(rules []Rule) []Rule {
	out := make([]Rule, 0, len(rules)+1)
	for _, r := range rules {
		switch r.Name {
		case "mmap":
			out = append(append(out, unset(r, 2, protExec)...), unset(r, 2, protWrite)...)
		case "mprotect", "pkey_mprotect":
			out = append(out, unset(r, 2, protExec)...)
		case "shmat":
			out = append(out, unset(r, 2, shmExec)...)
		case "personality":
			ask := Rule{Name: r.Name, Args: []Arg{{Index: 0, Value: personalityQuery}}}
			if r.overlaps(ask) {
				out = append(out, ask)
			}
			out = append(out, unset(r, 0, readImpliesExec)...)
		default:
			if !slices.Contains(writers, r.Name) {
				out = append(out, r)
			}
		}
	}
	out, err := Normalize(out)
	if err != nil {
		panic("seccomp: " + err.Error()) // they were normalized before, and ask for no more than bits of an argument
	}
	return out
}

// unset is the part of a rule in which an argument does not have the bit: nothing, or one rule.
func unset(r Rule, index uint, bit uint32) []Rule {
	args := []Arg{{Index: index, Mask: bit}}
	for _, a := range r.Args {
		if a.Index != index {
			args = append(args, a)
		} else if a.Value&bit == 0 {
			args[0] = Arg{Index: index, Mask: a.Bits() | bit, Value: a.Value}
		} else {
			return nil
		}
	}
	return []Rule{{Name: r.Name, Args: args}}
}

// Written reports whether rules let memory be written and then executed, and by which of the calls
// that do that in a way of their own.
func Written(rules []Rule) (memory bool, by []string) {
	for _, way := range []Rule{
		{Name: "mmap", Args: []Arg{{Index: 2, Mask: protWrite | protExec, Value: protWrite | protExec}}},
		{Name: "mprotect", Args: []Arg{{Index: 2, Mask: protExec, Value: protExec}}},
		{Name: "pkey_mprotect", Args: []Arg{{Index: 2, Mask: protExec, Value: protExec}}},
		{Name: "shmat", Args: []Arg{{Index: 2, Mask: shmExec, Value: shmExec}}},
	} {
		memory = memory || Allows(rules, way)
	}
	for _, name := range writers {
		if Allows(rules, Rule{Name: name}) {
			by = append(by, name)
		}
	}
	return memory, by
}
