package observe

import (
	"bytes"
	"fmt"
	"os"

	"casemate/sandbox/learn/observe/parole"

	"golang.org/x/sys/unix"
)

// memory reads that of stopped processes, into one buffer: there are two reads for many a call.
type memory struct {
	buf    [maxPath]byte
	local  [1]unix.Iovec
	remote [1]unix.RemoteIovec
	given  *parole.Thread // has texts that may be elsewhere no more, nil for none
}

const page = 4096

// part reads up to n bytes into the buffer from its byte at on, not past the end of a page.
func (m *memory) part(tid int, from uint64, at, n int) int {
	n = min(n, len(m.buf)-at, page-int(from&(page-1)))
	if n <= 0 {
		return 0
	}
	m.local[0].Base = &m.buf[at]
	m.local[0].SetLen(n)
	m.remote[0] = unix.RemoteIovec{Base: uintptr(from), Len: n}
	got, err := unix.ProcessVMReadv(tid, m.local[:], m.remote[:], 0)
	if err != nil {
		return 0
	}
	return got
}

// bytes reads up to n bytes, less where the process has no more there. They are the
// buffer's, until the next read.
func (m *memory) bytes(tid int, from uint64, n int) []byte {
	got := 0
	for got < n {
		step := m.part(tid, from+uint64(got), got, n-got)
		if step == 0 {
			break
		}
		got += step
	}
	return m.buf[:got]
}

// text reads a string that ends with a NUL; false where there is none.
func (m *memory) text(tid int, from uint64) (string, bool) {
	if m.given != nil {
		for i, text := range m.given.Texts {
			if s, _, ok := bytes.Cut(text[:], []byte{0}); ok && len(s) > 0 && m.given.Args[i] == from && len(s) < len(text)-1 {
				return string(s), true
			}
		}
	}
	got := 0
	for got < len(m.buf) {
		step := m.part(tid, from+uint64(got), got, 256)
		if step == 0 {
			break
		}
		if i := bytes.IndexByte(m.buf[got:got+step], 0); i >= 0 {
			return string(m.buf[:got+i]), true
		}
		got += step
	}
	return "", false
}

// atExecfn is of the name that a program was executed by (linux/auxvec.h).
const atExecfn = 31

// executed is the name that execve was given for what a process runs, "" where it does not say.
func (m *memory) executed(tid int) string {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", tid))
	if err != nil {
		return ""
	}
	for ; len(list) >= 16; list = list[16:] {
		if word(list) == atExecfn {
			name, _ := m.text(tid, word(list[8:]))
			return name
		}
	}
	return ""
}
