package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
)

// recordOf tells whether a line of a builtin's is a record of its own service, and
// of which level. Anything else that it writes (its last words, or what somebody
// who has taken it over would have said in another's name) is text. Two such lines come of every
// connection, so it is one pass over valid JSON that makes nothing of it.
func recordOf(service string, line []byte) (level slog.Level, ok bool) {
	if !json.Valid(line) || line[0] != '{' {
		return 0, false
	}
	var quoted [128]byte
	want, named := strconv.AppendQuote(append(quoted[:0], `"service":`...), service), 0
	for rest := line[1:]; ; {
		key, value, pair, after := property(rest)
		if key == nil {
			return level, named == 1
		}
		// Readers differ on names that come twice, in other letters or escaped: nothing but the one spelling counts.
		switch {
		case bytes.IndexByte(key, '\\') >= 0:
			return 0, false
		case bytes.EqualFold(key, []byte(`"service"`)):
			if named++; named > 1 || !bytes.Equal(pair, want) {
				return 0, false
			}
		case string(key) == `"level"` && level.UnmarshalJSON(value) != nil:
			return 0, false
		}
		rest = after
	}
}

// property takes the next name of an object and its value off what is left of its valid text, behind its brace or a
// value: each by itself, and as they stand together. There is no name at the object's end.
func property(text []byte) (key, value, pair, rest []byte) {
	const blanks = " \t\r\n"
	pair = bytes.TrimLeft(text, blanks+",")
	if pair[0] == '}' {
		return nil, nil, nil, nil
	}
	n := word(pair)
	key, text = pair[:n], bytes.TrimLeft(pair[n:], blanks)
	text = bytes.TrimLeft(text[1:], blanks) // behind the colon
	n = 0
	for depth := 0; ; {
		switch c := text[n]; {
		case c == '"':
			n += word(text[n:])
			continue
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == '}'):
			value = bytes.TrimRight(text[:n], blanks)
			return key, value, pair[:len(pair)-len(text)+len(value)], text[n:]
		case c == '}' || c == ']':
			depth--
		}
		n++
	}
}

// word is the length of the string that valid text begins with, quotes and all.
func word(text []byte) int {
	for n := 1; ; n++ {
		switch text[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
}
