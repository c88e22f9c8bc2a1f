// Package rest gives back to the system what a process has taken for work that is done.
package rest

import (
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// segment is Elf64_Phdr (elf(5)), and what follows are numbers of it and of getauxval(3).
type segment struct {
	kind, flags                                 uint32
	offset, addr, physical, file, memory, align uint64
}

const (
	loaded   = 1
	writable = 2

	atSegments, atCount = 3, 5
)

// settled is how long after its main part work may go on.
const settled = time.Second

// Soon unmaps the program's own code and constants when what goes on has settled: idling needs a fraction of them.
func Soon() { time.AfterFunc(settled, unmap) }

// AfterLoad does so too, and before that frees what is garbage by then: what a pool of the library has (sync.Pool, of
// encoding/json) is so with the second collection.
func AfterLoad() { time.AfterFunc(settled, func() { debug.FreeOSMemory(); unmap() }) }

// unmap loses nothing: nobody can write what it unmaps, and what is used again is mapped again, from the kernel's cache of the file.
func unmap() {
	var at [6]uintptr
	auxv, _ := unix.Auxv()
	for _, a := range auxv {
		if a[0] < uintptr(len(at)) {
			at[a[0]] = a[1]
		}
	}
	page := uint64(unix.Getpagesize())
	for _, s := range unsafe.Slice(*(**segment)(unsafe.Pointer(&at[atSegments])), at[atCount]) {
		from, to := s.addr&^(page-1), (s.addr+s.memory)&^(page-1) // no page that another segment may have a part of
		if s.kind == loaded && s.flags&writable == 0 {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED)
		}
	}
}
