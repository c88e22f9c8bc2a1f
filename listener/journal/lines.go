package journal

import (
	"bytes"
	"io"
	"os"
	"time"
)

// maxChunk is up to how many bytes go into one write(2), unless one line is longer.
const maxChunk = 32 << 10

// lines puts whole lines into a stream that may fail. A line that could not be
// finished (a full disk) stays as the piece it is, and a line end before the next
// one keeps that whole; lines lost are counted, and the count is written before
// the first line that follows.
type lines struct {
	to   io.Writer
	torn bool   // the stream ends within a line
	lost uint64 // lines that are not in it, and not told of
	enc  *encoder
}

// write writes text, which is whole lines.
func (l *lines) write(text []byte) {
	for len(text) > 0 {
		n := len(text)
		if n > maxChunk {
			if n = bytes.LastIndexByte(text[:maxChunk], '\n') + 1; n == 0 {
				n = bytes.IndexByte(text, '\n') + 1
			}
		}
		if l.mend() {
			l.put(text[:n])
		} else {
			l.lose(text[:n])
		}
		text = text[n:]
	}
}

// put writes text, or as much as it can, and counts the lines that are missing.
func (l *lines) put(text []byte) {
	n, err := l.to.Write(text) // of a file, it goes on after a short write
	if n > 0 {
		l.torn = text[n-1] != '\n'
	}
	if err == nil {
		return
	}
	if n > 0 && n < len(text) && text[n] == '\n' {
		n++ // only its end is missing, and comes with the next line
	}
	l.lose(text[n:]) // its first is the torn one
}

func (l *lines) lose(text []byte) { l.lost += uint64(bytes.Count(text, []byte{'\n'})) }

// mend makes the stream fit for a line again: it ends a torn one and tells how
// many are missing. It reports whether it could.
func (l *lines) mend() bool {
	if l.torn {
		if _, err := l.to.Write([]byte{'\n'}); err != nil {
			return false
		}
		l.torn = false
	}
	if l.lost > 0 {
		count := l.lost
		(&Suppressed{At: time.Now(), What: LogLines, Count: count}).encode(l.enc)
		l.put(l.enc.buf.Bytes())
		l.enc.buf.Reset()
		if l.lost > count {
			l.lost = count // the count itself is no line that anybody misses
			return false
		}
		l.lost = 0
	}
	return !l.torn
}

// endsTorn tells whether a file ends within a line: its disk was full, and it is
// opened again. Of what is in it, it looks at the last byte.
func endsTorn(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	var last [1]byte
	s, err := f.Stat()
	if err == nil {
		_, err = f.ReadAt(last[:], s.Size()-1) // of what is empty or no file, an error
	}
	return err == nil && last[0] != '\n'
}
