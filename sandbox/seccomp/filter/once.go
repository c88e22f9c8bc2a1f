package filter

import (
	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// once lets execve and execveat through from the gate alone. The launch's exec unmaps that, and
// nothing executable can come there again: what names an address below 4 GiB, grows down or is moved
// to a named address is denied, and what the kernel chooses lies at the other end. The stack
// grows wherever its program likes: that it is not executable, the caller sees to.
func once(denied uint32) []instruction {
	var out []instruction
	deny := func(call uint32, unless ...instruction) { // which end in a jump over the denial
		out = append(out, instruction{opJEQ, 0, uint8(len(unless) + 2), call})
		out = append(append(out, unless...), instruction{opRet, 0, 0, denied}, instruction{opLoad, 0, 0, offNr})
	}
	for _, call := range []uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT} {
		deny(call, load(offIP), instruction{opJEQ, 0, 2, machine.Gate}, load(offIP+4), instruction{opJEQ, 1, 0, 0})
	}
	// On behind the denial where the pointer, compared as a whole, is null or not below 4 GiB.
	deny(unix.SYS_SHMAT, load(offArgs+8+4), instruction{opJEQ, 0, 3, 0}, load(offArgs+8), instruction{opJEQ, 1, 0, 0})
	// Null is a hint for the kernel to choose, or the address 0 itself, where vm.mmap_min_addr is that.
	deny(unix.SYS_MMAP, load(offArgs+8*3), instruction{opAnd, 0, 0, unix.MAP_GROWSDOWN}, instruction{opJEQ, 0, 7, 0},
		load(offArgs+4), instruction{opJEQ, 0, 6, 0},
		load(offArgs+8*3), instruction{opAnd, 0, 0, unix.MAP_FIXED | unix.MAP_FIXED_NOREPLACE}, instruction{opJEQ, 0, 2, 0},
		load(offArgs), instruction{opJEQ, 1, 0, 0})
	deny(unix.SYS_MREMAP, load(offArgs+8*3), instruction{opAnd, 0, 0, ^uint32(unix.MREMAP_MAYMOVE)}, instruction{opJEQ, 1, 0, 0})
	return out
}

func load(offset uint32) instruction { return instruction{opLoad, 0, 0, offset} }
