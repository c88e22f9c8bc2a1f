package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// slotSize is the room for one text and its head.
const slotSize = 1 << 20

// slots keep a text in a file of root's that the broker has open and cannot replace: two places of it in turn, so that one holds a whole text
// whenever a write is cut short. What is written is on the disk before the next one may take the other place: who writes waits for that, off the loop.
type slots struct {
	file   *os.File // nil keeps nothing
	newest uint64   // what has the number n lies in place n%2
}

var errUnkept = errors.New("there is no file for them: see the log of casemated's start")

// read gives the newest text, nil where there is none.
func (s *slots) read() (text []byte, err error) {
	if s.file == nil {
		return nil, nil
	}
	buf, whole := make([]byte, slotSize), 0
	for place := range int64(2) {
		n, err := s.file.ReadAt(buf, place*slotSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if number, in, ok := parseSlot(buf[:n]); ok && number%2 == uint64(place) {
			if whole++; number > s.newest {
				s.newest, text = number, bytes.Clone(in)
			}
		}
	}
	if n, _ := s.file.ReadAt(buf[:1], 0); whole == 0 && n > 0 && buf[0] != 0 {
		return nil, fmt.Errorf("%s holds nothing that is whole", s.file.Name())
	}
	return text, nil
}

// write puts a text in place of the older one.
func (s *slots) write(text []byte) error {
	if s.file == nil {
		return errUnkept
	}
	all := slotOf(s.newest+1, text)
	if len(all) > slotSize {
		return fmt.Errorf("%d bytes are too many to keep", len(text))
	}
	if _, err := s.file.WriteAt(all, int64((s.newest+1)%2)*slotSize); err != nil {
		return err
	}
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	s.newest++
	return nil
}

// slotHead is a text's number, its length, and the sum of it and these.
const slotHead = "%d %d %x\n"

func slotOf(number uint64, text []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", number, len(text), text))
	return append(fmt.Appendf(nil, slotHead, number, len(text), sum), text...)
}

// parseSlot takes a place apart; behind its text may lie what is left of a longer one.
func parseSlot(b []byte) (number uint64, text []byte, ok bool) {
	head, rest, found := bytes.Cut(b, []byte{'\n'})
	var length int
	if !found || len(head) > 128 {
		return 0, nil, false
	}
	if n, err := fmt.Sscanf(string(head), "%d %d ", &number, &length); n != 2 || err != nil || length < 0 || length > len(rest) {
		return 0, nil, false
	}
	text = rest[:length]
	return number, text, bytes.HasPrefix(b, slotOf(number, text))
}
