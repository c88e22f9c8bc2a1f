package seccomp

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
		call string
		arg  uint32
	}{{"execve", 0}, {"execveat", 1}} {
		out = append(out, instruction{opJEQ, 0, 6, uint32(byName[path.call])},
			low(path.arg), instruction{opJEQ, 0, 2, PathPage}, high(path.arg), instruction{opJEQ, 1, 0, 0},
			instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
	}
	for _, hint := range []struct {
		call string
		arg  uint32
	}{{"mmap", 0}, {"shmat", 1}, {"map_shadow_stack", 0}} {
		out = append(out, instruction{opJEQ, 0, 6, uint32(byName[hint.call])},
			high(hint.arg), instruction{opJEQ, 0, 3, 0}, low(hint.arg), instruction{opJEQ, 1, 0, 0},
			instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
	}
	// The new address means something with MREMAP_FIXED (2) and MREMAP_DONTUNMAP (4).
	return append(out, instruction{opJEQ, 0, 7, uint32(byName["mremap"])},
		low(3), instruction{opAnd, 0, 0, 6}, instruction{opJEQ, 3, 0, 0}, high(4), instruction{opJEQ, 0, 1, 0},
		instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
}

func low(arg uint32) instruction  { return instruction{opLoad, 0, 0, offArgs + 8*arg} }
func high(arg uint32) instruction { return instruction{opLoad, 0, 0, offArgs + 8*arg + 4} }
