package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// Parts of an ELF file of 64 bits (elf(5)).
const (
	elfHead     = 64 // e_ident to e_shstrndx
	segmentSize = 56
	maxSegments = 64
)

// loader gives the path of the dynamic loader that the program asks for, or ""
// for a static one. It is an error when the kernel would not execute the file, and for
// an executable stack unless code says that the profile has such memory. It looks at the
// header and the list of segments alone, as the kernel does (fs/binfmt_elf.c).
func loader(fd int, code bool) (name string, err error) {
	head := make([]byte, elfHead)
	if n, err := unix.Pread(fd, head, 0); err != nil || n < elfHead || !bytes.HasPrefix(head, []byte("\x7fELF\x02\x01")) {
		return "", errors.New(`neither an ELF program of 64 bits nor a script: give a script its first line, as "#!/bin/sh"`)
	}
	le := binary.LittleEndian
	if m := le.Uint16(head[18:]); m != machine.ELF {
		return "", fmt.Errorf("a program for another machine (ELF machine %d), want "+machine.Name, m)
	}
	count := le.Uint16(head[56:])
	if le.Uint16(head[54:]) != segmentSize || count > maxSegments {
		return "", errors.New("an ELF file whose list of segments cannot be read")
	}
	list := make([]byte, int(count)*segmentSize)
	if n, err := unix.Pread(fd, list, int64(le.Uint64(head[32:]))); err != nil || n < len(list) {
		return "", errors.New("an ELF file that is cut off")
	}
	for ; len(list) > 0; list = list[segmentSize:] {
		kind, at := le.Uint32(list), le.Uint64(list[16:])
		switch {
		case kind == unix.PT_LOAD && le.Uint16(head[16:]) == unix.ET_EXEC && at < machine.Gate+uint64(os.Getpagesize()):
			return "", fmt.Errorf("linked to the address %#x, where the code of its launch lies: link it higher, or as a position independent program", at)
		case kind == unix.PT_GNU_STACK && le.Uint32(list[4:])&unix.PF_X != 0 && !code:
			return "", errors.New("it asks for an executable stack: link it with -z noexecstack, or give it a profile with syscalls { allow = [\"@jit\"] }")
		case kind == unix.PT_INTERP && name == "":
			text := make([]byte, min(le.Uint64(list[32:]), unix.PathMax))
			if n, err := unix.Pread(fd, text, int64(le.Uint64(list[8:]))); err != nil || n < len(text) {
				return "", errors.New("an ELF file that is cut off")
			}
			text, _, _ = bytes.Cut(text, []byte{0})
			name = string(text)
		}
	}
	return name, nil
}
