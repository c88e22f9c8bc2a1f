package filter

import "golang.org/x/sys/unix"

// PathPage is where a launch keeps the path that it executes (zygote.h): above
// every vm.mmap_min_addr, below every program that is not linked to go there.
const PathPage = 0x100000

// once lets execve and execveat through for a path at PathPage alone, and keeps that
// page the launch's own: nothing maps memory below 4 GiB at an address that it names,
// and what the kernel chooses lies at the other end. A pointer's upper half is compared
// too, so after the launch's exec, which unmaps the page, there is no path to execute.
func once(denied uint32) []instruction {
	var out []instruction
	for _, path := range []struct {
		call uint32
		arg  uint32
	}{{unix.SYS_EXECVE, 0}, {unix.SYS_EXECVEAT, 1}} {
		out = append(out, instruction{opJEQ, 0, 6, path.call},
			low(path.arg), instruction{opJEQ, 0, 2, PathPage}, high(path.arg), instruction{opJEQ, 1, 0, 0},
			instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
	}
	for _, hint := range []struct {
		call uint32
		arg  uint32
	}{{unix.SYS_MMAP, 0}, {unix.SYS_SHMAT, 1}, {unix.SYS_MAP_SHADOW_STACK, 0}} {
		out = append(out, instruction{opJEQ, 0, 6, hint.call},
			high(hint.arg), instruction{opJEQ, 0, 3, 0}, low(hint.arg), instruction{opJEQ, 1, 0, 0},
			instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
	}
	// The new address means something with MREMAP_FIXED (2) and MREMAP_DONTUNMAP (4).
	return append(out, instruction{opJEQ, 0, 7, unix.SYS_MREMAP},
		low(3), instruction{opAnd, 0, 0, 6}, instruction{opJEQ, 3, 0, 0}, high(4), instruction{opJEQ, 0, 1, 0},
		instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
}

func low(arg uint32) instruction  { return instruction{opLoad, 0, 0, offArgs + 8*arg} }
func high(arg uint32) instruction { return instruction{opLoad, 0, 0, offArgs + 8*arg + 4} }
