package seccomp

import "sort"

//go:generate go run ./internal/gentable -out table.go

// call is one line of the table.
type call struct {
	nr   int
	name string
}

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

// Names gives the names of all system calls, by number.
func Names() []string {
	names := make([]string, len(table))
	for i, c := range table {
		names[i] = c.name
	}
	return names
}
