package builtin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"casemate/acl/limit/admission"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// keeper is the file that is shared by all workers of a service, in memory. It holds two copies, of which each store writes
// the older one: a worker that dies in the middle leaves the other. A copy begins with its number, the length of its text and the
// checksum of both and of it. Two workers that write at once may spoil one; whoever keeps next writes it anew, and nothing is lost
// that a worker still has.
type keeper struct{ file []byte }

const (
	copySize = wire.KeptSize / 2
	copyHead = 8 + 4 + 4
)

// A copy has room for what both limiters keep, or this does not compile.
const _ = uint(copySize - copyHead - 2*admission.MaxKeptText)

// newKeeper takes f over.
func newKeeper(f *os.File) (*keeper, error) {
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != wire.KeptSize {
		return nil, fmt.Errorf("kept: %d bytes are wanted: %w", wire.KeptSize, errors.Join(err, unix.EINVAL))
	}
	file, err := unix.Mmap(int(f.Fd()), 0, wire.KeptSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("kept: %w", os.NewSyscallError("mmap", err))
	}
	return &keeper{file}, nil
}

// read is the text of one copy, for ourselves, as another worker may be writing; false where there is none, or half of one.
func (k *keeper) read(i int) (number uint64, text []byte, ok bool) {
	at, get := k.file[i*copySize:(i+1)*copySize], binary.LittleEndian
	number = get.Uint64(at)
	n := get.Uint32(at[8:])
	if number == 0 || n > copySize-copyHead {
		return 0, nil, false
	}
	got := append([]byte(nil), at[:copyHead+n]...)
	if number != get.Uint64(got) || get.Uint32(got[8:]) != n || sum(got) != get.Uint32(got[12:]) {
		return 0, nil, false
	}
	return number, got[copyHead:], true
}

// sum is over all of a copy but the sum itself.
func sum(text []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(text[:12]), crc32.IEEETable, text[copyHead:])
}

// newest is the copy that was stored last, and its number; 1 and 0 where there is none.
func (k *keeper) newest() (i int, number uint64, text []byte) {
	i = 1
	for c := range 2 {
		if n, got, ok := k.read(c); ok && n > number {
			i, number, text = c, n, got
		}
	}
	return i, number, text
}

// load is what was stored last, by whichever worker; false where that is nothing that one of these would have stored.
func (k *keeper) load() (limits, answers *admission.Kept, ok bool) {
	_, number, text := k.newest()
	if number == 0 {
		return nil, nil, false
	}
	limits, text, err := admission.DecodeKept(text)
	if err != nil {
		return nil, nil, false
	}
	answers, text, err = admission.DecodeKept(text)
	return limits, answers, err == nil && len(text) == 0
}

func (k *keeper) store(limits, answers *admission.Kept) {
	i, number, _ := k.newest()
	put := binary.LittleEndian
	text := answers.Append(limits.Append(make([]byte, copyHead)))
	put.PutUint64(text, number+1)
	put.PutUint32(text[8:], uint32(len(text)-copyHead))
	put.PutUint32(text[12:], sum(text))
	copy(k.file[(1-i)*copySize:], text)
}
