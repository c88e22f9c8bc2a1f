package seccomp

import (
	"testing"

	native "casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// TestOnce: a program is executed from the gate alone, and no executable memory can be had there: no address below
// 4 GiB can be asked for, and nothing grows down to it or is moved.
func TestOnce(t *testing.T) {
	const fixed, page = unix.MREMAP_FIXED | unix.MREMAP_MAYMOVE, native.Gate &^ 0xfff
	rules := append(GroupRules("@line"), Rule{Name: "execve"}, Rule{Name: "execveat"}, Rule{Name: "shmat"})
	for _, c := range []struct {
		call string
		args [6]uint64
		want bool
	}{
		{"mmap", [6]uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE}, true},
		{"mmap", [6]uint64{0x7f0000000000, 4096, unix.PROT_READ, unix.MAP_FIXED}, true},
		{"mmap", [6]uint64{1 << 32, 4096, unix.PROT_READ, unix.MAP_FIXED}, true},
		{"mmap", [6]uint64{page, 4096, unix.PROT_READ, unix.MAP_FIXED}, false},
		{"mmap", [6]uint64{page - 4096, 8192, unix.PROT_READ, 0}, false},
		{"mmap", [6]uint64{1<<32 - 4096, 4096, unix.PROT_READ, 0}, false},
		{"mmap", [6]uint64{0, page + 8192, unix.PROT_READ, unix.MAP_FIXED}, false},
		{"mmap", [6]uint64{0, page + 8192, unix.PROT_READ, unix.MAP_FIXED_NOREPLACE | 1<<40}, false},
		{"mmap", [6]uint64{1 << 40, page, unix.PROT_READ, unix.MAP_FIXED_NOREPLACE}, true},
		{"shmat", [6]uint64{0, page}, false},
		{"shmat", [6]uint64{page, 0}, true},
		{"mmap", [6]uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE | unix.MAP_GROWSDOWN | 0x40}, false}, // MAP_32BIT of x86-64
		{"mmap", [6]uint64{1 << 40, 4096, unix.PROT_READ, unix.MAP_FIXED | unix.MAP_GROWSDOWN | 1<<40}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 8192, unix.MREMAP_MAYMOVE, page}, true}, // the register holds anything
		{"mremap", [6]uint64{1 << 40, 4096, 4096, fixed, page}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 4096, unix.MREMAP_MAYMOVE | unix.MREMAP_DONTUNMAP, page}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 4096, fixed, 1 << 32}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 4096, fixed, 1 << 41}, false},
		{"mremap", [6]uint64{1 << 40, 4096, 8192, unix.MREMAP_MAYMOVE | 8}, false}, // a flag of a later kernel
		{"mremap", [6]uint64{1 << 40, 4096, 8192, 0}, true},
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
			if got := run(t, vm, data{nr: uint32(nr), arch: archHere, args: c.args}); got != want {
				t.Errorf("%s%#x under %s: %#x, want %#x", c.call, c.args, v, got, want)
			}
		}
	}
}

// TestOnceFromTheGate: whatever the arguments, an exec comes from the gate, all 64 bits of it.
func TestOnceFromTheGate(t *testing.T) {
	vm := compile(t, Filter{Rules: append(GroupRules("@line"), Rule{Name: "execve"}, Rule{Name: "execveat"}), OnViolation: Errno, Once: true})
	for _, nr := range []uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT} {
		for ip, want := range map[uint64]uint32{
			native.Gate: retAllow, native.Gate - 2: retErrno | errnoEPERM, native.Gate + 1: retErrno | errnoEPERM, 0: retErrno | errnoEPERM,
			native.Gate | 1<<32: retErrno | errnoEPERM, native.Gate | 1<<47: retErrno | errnoEPERM, 0x7f0000000000: retErrno | errnoEPERM,
		} {
			if got := run(t, vm, data{nr: nr, arch: archHere, ip: ip, args: [6]uint64{native.Gate &^ 0xfff, native.Gate &^ 0xfff}}); got != want {
				t.Errorf("call %d from %#x: %#x, want %#x", nr, ip, got, want)
			}
		}
	}
}
