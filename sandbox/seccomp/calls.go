package seccomp

import "sort"

//go:generate go run ./internal/gentable -out table.go

// call is one line of the table.
type call struct {
	nr   int
	name string
}

// span is a run of numbers, both ends included.
type span struct{ first, last int }

var byName = func() map[string]int {
	m := make(map[string]int, len(table))
	for _, c := range table {
		m[c.name] = c.nr
	}
	return m
}()

// Number gives the number of a system call of x86-64, and false for a name that
// Linux 6.18 does not have. Names are the kernel's ("newfstatat", not "fstatat").
func Number(name string) (int, bool) {
	nr, ok := byName[name]
	return nr, ok
}

// Name gives the name of a system call number of x86-64, or "" when Linux 6.18
// has no such call.
func Name(nr int) string {
	i := sort.Search(len(table), func(i int) bool { return table[i].nr >= nr })
	if i < len(table) && table[i].nr == nr {
		return table[i].name
	}
	return ""
}

// highest is the last number of the table.
func highest() int { return table[len(table)-1].nr }

// holes are the numbers below the highest that belong to no call. A kernel newer
// than the table may fill one, so they are answered like a number above it.
func holes() []span {
	var out []span
	for i := 1; i < len(table); i++ {
		if table[i].nr != table[i-1].nr+1 {
			out = append(out, span{table[i-1].nr + 1, table[i].nr - 1})
		}
	}
	return out
}

// Names gives the names of all system calls, by number.
func Names() []string {
	names := make([]string, len(table))
	for i, c := range table {
		names[i] = c.name
	}
	return names
}
