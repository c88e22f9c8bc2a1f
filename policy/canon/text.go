package canon

import "bytes"

// text goes over canonical JSON without making anything of it.
type text struct {
	b []byte
	i int
}

// take goes over s, if that is next.
func (t *text) take(s string) bool {
	if string(t.b[t.i:min(len(t.b), t.i+len(s))]) != s {
		return false
	}
	t.i += len(s)
	return true
}

// quoted goes over a string and gives what stands between its quotes, as it is written.
func (t *text) quoted() ([]byte, bool) {
	if t.i >= len(t.b) || t.b[t.i] != '"' {
		return nil, false
	}
	from := t.i + 1
	for at := from; ; {
		n := bytes.IndexByte(t.b[at:], '"')
		if n < 0 {
			return nil, false
		}
		at += n + 1
		escapes := at - 1
		for escapes > from && t.b[escapes-1] == '\\' {
			escapes--
		}
		if (at-1-escapes)%2 == 0 {
			t.i = at
			return t.b[from : at-1], true
		}
	}
}

// word is quoted for a text that has nothing to escape.
func (t *text) word() (string, bool) {
	s, ok := t.quoted()
	return string(s), ok && !bytes.ContainsAny(s, "\\\x00")
}

// value goes over any value and gives its bytes. Brackets have to match in number alone: who decodes it sees the rest.
func (t *text) value() ([]byte, bool) {
	from, depth := t.i, 0
	for t.i < len(t.b) {
		switch t.b[t.i] {
		case '"':
			if _, ok := t.quoted(); !ok {
				return nil, false
			}
			if depth == 0 {
				return t.b[from:t.i], true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				t.i++
				return t.b[from:t.i], true
			}
		case ',':
			if depth == 0 {
				return t.b[from:t.i], t.i > from
			}
		}
		if depth < 0 { // the end of what a number or a word stands in
			return t.b[from:t.i], t.i > from
		}
		t.i++
	}
	return nil, false
}

// each goes over a list or an object, with item for each of its items.
func (t *text) each(first, last string, item func() bool) bool {
	if !t.take(first) {
		return false
	}
	if t.take(last) {
		return true
	}
	for item() {
		if t.take(last) {
			return true
		}
		if !t.take(",") {
			return false
		}
	}
	return false
}
