package seccomp

import (
	"slices"
	"sort"
)

//go:generate bash -c "d() { echo '#include <asm/unistd.h>' | $DOLLAR{1}-linux-gnu-gcc -E -dM -; }; go run ./internal/gentable <(d x86_64) <(d aarch64)"

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

// Number gives the number of a system call of this architecture, and false for a name that
// Linux 6.18 does not have there. Names are the kernel's ("newfstatat", not "fstatat").
func Number(name string) (int, bool) {
	nr, ok := byName[name]
	return nr, ok
}

// Elsewhere reports whether a name is that of a call which another architecture has, and this one
// has not: a policy that names it means nothing by that here, and need not be another.
func Elsewhere(name string) bool {
	_, is := slices.BinarySearch(elsewhere, name)
	return is
}

// Name gives the name of a system call number of this architecture, or "" when Linux 6.18
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
