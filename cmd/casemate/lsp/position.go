package lsp

import (
	"bytes"
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"casemate/policy/lang"
)

// offset is the byte of a position. What is not in the text is its nearest end.
func offset(text []byte, p position) int {
	from := 0
	for ; p.Line > 0; p.Line-- {
		i := bytes.IndexByte(text[from:], '\n')
		if i < 0 {
			return len(text)
		}
		from += i + 1
	}
	units := 0
	for from < len(text) && text[from] != '\n' && units < p.Character {
		r, n := utf8.DecodeRune(text[from:])
		if units += utf16Len(r); units > p.Character {
			break // in the middle of a character
		}
		from += n
	}
	return from
}

func utf16Len(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// ruler turns bytes of one text into positions, each line of which it looks for once.
type ruler struct {
	text  []byte
	lines []int // where each begins
}

func newRuler(text []byte) *ruler {
	r := &ruler{text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	return r
}

func (r *ruler) position(at int) position {
	at = min(max(at, 0), len(r.text))
	low, high := 0, len(r.lines)-1
	for low < high {
		if mid := (low + high + 1) / 2; r.lines[mid] <= at {
			low = mid
		} else {
			high = mid - 1
		}
	}
	p := position{Line: low}
	for i := r.lines[low]; i < at; {
		c, n := utf8.DecodeRune(r.text[i:])
		p.Character += utf16Len(c)
		i += n
	}
	return p
}

func (r *ruler) span(s lang.Span) span { return span{r.position(s.Start), r.position(s.End)} }

// pathOf is the file of a URI; ok is false for what is none.
func pathOf(uri string) (path string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) || strings.ContainsRune(u.Path, 0) {
		return "", false
	}
	return filepath.Clean(u.Path), true
}

func uriOf(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }
