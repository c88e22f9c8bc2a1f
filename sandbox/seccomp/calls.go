package seccomp

import (
	"sort"
	"strings"
)

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

// libcNames maps what people write (the C library's name) to what the kernel has.
var libcNames = map[string]string{
	"_exit": "exit_group", "fstatat": "newfstatat", "fstatat64": "newfstatat", "sigaction": "rt_sigaction",
	"sigprocmask": "rt_sigprocmask", "sigsuspend": "rt_sigsuspend", "sigreturn": "rt_sigreturn",
	"pread": "pread64", "pwrite": "pwrite64", "waitpid": "wait4", "wait": "wait4", "wait3": "wait4",
	"send": "sendto", "recv": "recvfrom", "getrlimit64": "prlimit64", "prlimit": "prlimit64",
	"posix_fadvise": "fadvise64", "fadvise": "fadvise64", "umount": "umount2", "eventfd": "eventfd2",
	"readdir": "getdents64", "mmap2": "mmap", "llseek": "lseek", "_llseek": "lseek", "ugetrlimit": "getrlimit",
	"sigpending": "rt_sigpending", "sigtimedwait": "rt_sigtimedwait", "sigqueue": "rt_sigqueueinfo",
}

// suggest gives the candidate nearest to s, or "" when none is near.
func suggest(s string, candidates []string) string {
	if n, ok := libcNames[s]; ok {
		return n
	}
	best, bestAt := "", len(s)/3+2
	for _, c := range candidates {
		if d := distance(s, c); d < bestAt {
			best, bestAt = c, d
		}
	}
	if best == "" && len(s) > 3 {
		for _, c := range candidates {
			if strings.HasPrefix(c, s) {
				return c
			}
		}
	}
	return best
}

// distance is the edit distance with neighbours swapped counted as one (optimal
// string alignment), on bytes: names are ASCII.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
