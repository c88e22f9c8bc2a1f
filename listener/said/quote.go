package said

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// quote makes a service's bytes fit for any terminal, editor and grep: printable
// characters stay, and everything else (control characters, bytes that are not
// UTF-8, line and direction controls of Unicode) becomes a Go escape. A backslash
// is doubled, so the text has one meaning only, and strconv.Unquote brings the bytes back.
func quote(line []byte) string {
	var b strings.Builder
	b.Grow(len(line))
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			hex(&b, 'x', uint32(line[0]), 2)
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\t':
			b.WriteString(`\t`)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			hex(&b, 'x', uint32(r), 2)
		case r <= 0xffff:
			hex(&b, 'u', uint32(r), 4)
		default:
			hex(&b, 'U', uint32(r), 8)
		}
		line = line[size:]
	}
	return b.String()
}

func hex(b *strings.Builder, kind byte, v uint32, digits int) {
	b.WriteByte('\\')
	b.WriteByte(kind)
	for i := digits - 1; i >= 0; i-- {
		b.WriteByte("0123456789abcdef"[v>>(4*i)&0xf])
	}
}
