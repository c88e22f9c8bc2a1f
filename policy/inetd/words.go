package inetd

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// text is a source with the starts of its lines, to tell where a byte stands.
type text struct {
	name  string
	data  []byte
	lines []int // offset of each line's first byte
	last  Pos   // the last place asked for: the next one is most often behind it in the same line
}

func newText(s *Source) *text {
	t := &text{name: s.Name, data: s.Data, lines: []int{0}}
	for i, b := range s.Data {
		if b == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// line is the index of the line that byte i is in.
func (t *text) line(i int) int {
	lo, hi := 0, len(t.lines)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; t.lines[mid] <= i {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

func (t *text) pos(i int) Pos {
	n := t.line(i)
	p := Pos{Line: n + 1, Column: 1, Byte: t.lines[n]}
	if t.last.Line == p.Line && t.last.Byte <= i {
		p = t.last
	}
	p.Column += utf8.RuneCount(t.data[p.Byte:i])
	p.Byte = i
	t.last = p
	return p
}

// at is the range of the bytes from start to end.
func (t *text) at(start, end int) Range {
	return Range{Filename: t.name, Start: t.pos(start), End: t.pos(max(start, end))}
}

// ends are the offsets of line n, without its end.
func (t *text) ends(n int) (start, end int) {
	start, end = t.lines[n], len(t.data)
	if n+1 < len(t.lines) {
		end = t.lines[n+1] - 1
	}
	if end > start && t.data[end-1] == '\r' { // reported by returns
		end--
	}
	return start, end
}

func blank(b byte) bool { return b == ' ' || b == '\t' }

// split takes a piece of one line apart at its blanks, by the quotes of a dialect. bad is
// the offset of a quote that is not closed, or -1.
func (t *text) split(start, end int, q quoting) (words []Text, bad int) {
	for i := start; ; {
		for i < end && blank(t.data[i]) {
			i++
		}
		if i == end {
			return words, -1
		}
		word, next, ok := t.word(i, end, q)
		if !ok {
			return words, i
		}
		words = append(words, Text{word, t.at(i, next)})
		i = next
	}
}

// word reads the word at i and returns it without its quotes, and where it ends.
func (t *text) word(i, end int, q quoting) (word string, next int, ok bool) {
	quote := func(b byte) bool { return q != unquoted && (b == '"' || b == '\'') }
	if q == wholeWords {
		if !quote(t.data[i]) {
			next = i + blankIn(t.data[i:end])
			return string(t.data[i:next]), next, true
		}
		n := bytes.IndexByte(t.data[i+1:end], t.data[i])
		if n < 0 {
			return "", 0, false
		}
		return string(t.data[i+1 : i+1+n]), i + n + 2, true
	}
	var b strings.Builder
	var open byte
	for ; i < end && (open != 0 || !blank(t.data[i])); i++ {
		switch c := t.data[i]; {
		case q == escapes && c == '\\' && open != '\'' && i+1 < end:
			i++
			b.WriteByte(t.data[i])
		case open != 0 && c == open:
			open = 0
		case open == 0 && quote(c):
			open = c
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i, open == 0
}

// blankIn is the offset of the first blank of b, or its length.
func blankIn(b []byte) int {
	for i := range b {
		if blank(b[i]) {
			return i
		}
	}
	return len(b)
}

// part is a piece of a word that has no quotes, from byte i to byte k of its text.
func (w Text) part(i, k int) Text {
	at := w.At
	if at.End.Byte-at.Start.Byte == len(w.Text) { // it was not quoted
		at.Start.Byte, at.Start.Column = w.At.Start.Byte+i, w.At.Start.Column+utf8.RuneCountInString(w.Text[:i])
		at.End.Byte, at.End.Column = w.At.Start.Byte+k, w.At.Start.Column+utf8.RuneCountInString(w.Text[:k])
	}
	return Text{w.Text[i:k], at}
}

// cut splits a word at the first of some characters.
func (w Text) cut(chars string) (before Text, sep byte, after Text) {
	i := strings.IndexAny(w.Text, chars)
	if i < 0 {
		return w, 0, Text{}
	}
	return w.part(0, i), w.Text[i], w.part(i+1, len(w.Text))
}

// pieces splits a word at every sep.
func (w Text) pieces(sep byte) (out []Text) {
	start := 0
	for i := 0; i <= len(w.Text); i++ {
		if i == len(w.Text) || w.Text[i] == sep {
			out = append(out, w.part(start, i))
			start = i + 1
		}
	}
	return out
}
