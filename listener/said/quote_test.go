package said

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":       "plain text",
		`back\slash "q"`:   `back\\slash "q"`,
		"tab\there":        `tab\there`,
		"\x1b[31mred\x00":  `\x1b[31mred\x00`,
		"a\nb\r":           `a\x0ab\x0d`,
		"\xff\xc3":         `\xff\xc3`,
		"größe 世界":         "größe 世界",
		"\u202eevil\ufeff": `\u202eevil\ufeff`,
		"\u2028\x7f\u0085": `\u2028\x7f\u0085`,
		"\U000e0001":       `\U000e0001`,
		"\ufffd":           "\ufffd",
	} {
		if got := quote([]byte(in)); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add([]byte("a\x1b\xff\\x41\"\u202e"))
	f.Fuzz(func(t *testing.T, in []byte) {
		q := quote(in)
		if !utf8.ValidString(q) {
			t.Fatalf("%q is not UTF-8", q)
		}
		for _, r := range q {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q holds %U", q, r)
			}
		}
		back, err := strconv.Unquote(`"` + strings.ReplaceAll(q, `"`, `\"`) + `"`)
		if err != nil || back != string(in) {
			t.Fatalf("%q reads back as %q, %v, want %q", q, back, err, in)
		}
	})
}
