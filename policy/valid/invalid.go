package valid

import (
	"fmt"
	"slices"
	"strings"

	"unicode/utf8"

	"casemate/policy/granted"
)

// Invalid is one broken invariant. Path is the value's place as in Origins
// ("services.finger.user"); Next is one step that repairs it.
type Invalid struct {
	Path    string
	Summary string
	Next    string
	// Other is a second place that the first one collides with, or "".
	Other string
	// Word is not known where one of Words must stand; both are empty otherwise.
	Word  string
	Words []string
}

// Error returns the path and the summary on one line.
func (e *Invalid) Error() string {
	s := e.Path + ": " + e.Summary
	if e.Other != "" {
		s += " (see " + e.Other + ")"
	}
	return s
}

// Errors is everything Check found, in the order of the policy.
type Errors []*Invalid

// Error returns all errors, one on a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, inv := range e {
		lines[i] = inv.Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors bounds what Check collects.
const maxErrors = 1000

// checker collects broken invariants.
type checker struct {
	errs     Errors
	programs int // commands of rules so far, by service
}

// add returns what it added, or nil where there was no room.
func (c *checker) add(path, next, format string, args ...any) *Invalid {
	if len(c.errs) == maxErrors {
		return nil
	}
	e := &Invalid{Path: path, Next: next, Summary: fmt.Sprintf(format, args...)}
	c.errs = append(c.errs, e)
	return e
}

// between checks lo <= n <= hi.
func between[T int | int64](c *checker, path string, n, lo, hi T) {
	if n < lo || n > hi {
		c.add(path, fmt.Sprintf("choose a number from %d to %d", lo, hi), "%d is out of range", n)
	}
}

// oneOf checks that s is one of the words.
func oneOf[W ~string](c *checker, path string, s W, words ...W) {
	if slices.Contains(words, s) {
		return
	}
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	if e := c.add(path, "write one of: "+strings.Join(known, ", "), "%q is not known here", s); e != nil {
		e.Word, e.Words = string(s), known
	}
}

// set checks that the items are sorted and none is there twice, which is how
// things without an order keep one spelling, and one digest.
func set[T int | uint16 | ~string](c *checker, path string, items []T) {
	for i := 1; i < len(items); i++ {
		switch {
		case items[i] == items[i-1]:
			c.add(fmt.Sprintf("%s.%d", path, i), "remove one of them", "%v is there twice", items[i])
		case items[i] < items[i-1]:
			c.add(fmt.Sprintf("%s.%d", path, i), "sort the list", "%v comes after %v", items[i], items[i-1])
		}
	}
}

// words checks a list of words, which has no order.
func words[W ~string](c *checker, path string, items []W, known ...W) {
	for k, item := range items {
		oneOf(c, fmt.Sprintf("%s.%d", path, k), item, known...)
	}
	set(c, path, items)
}

// text checks that s is valid UTF-8 of at most max bytes without control
// characters: argv, env and paths are C strings, and JSON keeps only UTF-8.
func (c *checker) text(path, s string, max int) bool {
	switch {
	case len(s) > max:
		c.add(path, fmt.Sprintf("use at most %d bytes", max), "%d bytes are too long", len(s))
	case !utf8.ValidString(s):
		c.add(path, "write valid UTF-8", "text is not valid UTF-8")
	case strings.ContainsFunc(s, isControl):
		c.add(path, "remove the control character", "%q has a control character", s)
	default:
		return true
	}
	return false
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// lines is text that may also hold tabs and newlines (arguments of a shell).
func (c *checker) lines(path, s string, max int) bool {
	return c.text(path, strings.NewReplacer("\n", " ", "\t", " ").Replace(s), max)
}

// name checks a block's name: it is part of log records, of paths in
// diagnostics and of references.
func (c *checker) name(path, s string) bool {
	if granted.ValidName(s) {
		return true
	}
	c.add(path, "use 1 to 63 lower-case letters, digits, _ and -, with a letter first", "%q is not a name", s)
	return false
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// named tells whether s has 1 to most of some characters, and none of those that
// may not be first at its beginning.
func named(s string, most int, of, notFirst string) bool {
	return s != "" && len(s) <= most && strings.Trim(s, of) == "" && !strings.ContainsAny(s[:1], notFirst)
}
