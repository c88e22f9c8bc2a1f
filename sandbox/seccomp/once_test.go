package seccomp

import (
	"testing"

	"casemate/sandbox/seccomp/filter"

	"golang.org/x/sys/unix"
)

// TestOnce: a path is executed at its page alone, and no address below 4 GiB can be asked for.
func TestOnce(t *testing.T) {
	const fixed = unix.MREMAP_FIXED | unix.MREMAP_MAYMOVE
	rules := append(GroupRules("@line"), Rule{Name: "execve"}, Rule{Name: "execveat"}, Rule{Name: "shmat"}, Rule{Name: "map_shadow_stack"})
	for _, c := range []struct {
		call string
		args [6]uint64
		want bool
	}{
		{"execve", [6]uint64{filter.PathPage}, true},
		{"execve", [6]uint64{filter.PathPage + 1}, false},
		{"execve", [6]uint64{filter.PathPage | 1<<32}, false},
		{"execve", [6]uint64{0x7fff00100000}, false},
		{"execveat", [6]uint64{7, filter.PathPage}, true},
		{"execveat", [6]uint64{filter.PathPage, 0x7fff00000000}, false},
		{"execveat", [6]uint64{7, filter.PathPage | 1<<47}, false},
		{"mmap", [6]uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE}, true},
		{"mmap", [6]uint64{0x7f0000000000, 4096, unix.PROT_READ, unix.MAP_FIXED}, true},
		{"mmap", [6]uint64{1 << 32, 4096, unix.PROT_READ, unix.MAP_FIXED}, true},
		{"mmap", [6]uint64{filter.PathPage, 4096, unix.PROT_READ, unix.MAP_FIXED}, false},
		{"mmap", [6]uint64{filter.PathPage - 4096, 8192, unix.PROT_READ, 0}, false},
		{"mmap", [6]uint64{1<<32 - 4096, 4096, unix.PROT_READ, 0}, false},
		{"shmat", [6]uint64{0, filter.PathPage}, false},
		{"shmat", [6]uint64{filter.PathPage, 0}, true},
		{"map_shadow_stack", [6]uint64{filter.PathPage, 4096}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 8192, unix.MREMAP_MAYMOVE, filter.PathPage}, true}, // the register holds anything
		{"mremap", [6]uint64{1 << 40, 4096, 4096, fixed, filter.PathPage}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 4096, unix.MREMAP_MAYMOVE | unix.MREMAP_DONTUNMAP, filter.PathPage}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 4096, fixed, 1 << 41}, true},
	} {
		nr, _ := Number(c.call)
		for _, v := range []Action{Errno, Kill} {
			vm := compile(t, Filter{Rules: rules, OnViolation: v, Once: true})
			denied := uint32(retErrno | errnoEPERM)
			if v == Kill {
				denied = retKillProcess
			}
			want := denied
			if c.want {
				want = retAllow
			}
			if got := run(t, vm, data{nr: uint32(nr), arch: archX8664, args: c.args}); got != want {
				t.Errorf("%s%#x under %s: %#x, want %#x", c.call, c.args, v, got, want)
			}
		}
	}
}
