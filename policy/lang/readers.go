package lang

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/policy/explain"
	"casemate/policy/valid"
	"casemate/sandbox"
)

// The readers of rows: one for each way in which values are written. at is where
// the value stands in a T.

// flag reads true or false; wide is the one of them that grants more.
func flag[T any](wide bool, at func(*T) *bool) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindBool)
		if !ok {
			return
		}
		if v.b == wide && *at(to) != wide {
			b.need(a.Layer, v, fmt.Sprintf("%s = %v", a.Name, wide))
		}
		*at(to) = v.b
	}
}

// procWord reads true, false or "host", each wider than the one before.
func procWord(b *block, a *Attribute, p *profile) {
	v, ok := b.attr(a)
	if !ok {
		return
	}
	host, f := v.kind == kindString && v.s == "host", &p.Files
	if !host && v.kind != kindBool {
		b.c.report(codeValue, v.rng, "write "+a.write()+`, or "host"`, `%s must be true, false or "host", not %s`, a.Name, v.describe())
		return
	}
	if own := v.kind == kindBool && v.b; host && !f.HostProc || own && !f.Proc {
		b.need(a.Layer, v, a.Name+" = "+map[bool]string{true: `"host"`, false: "true"}[host])
	}
	f.Proc, f.HostProc = host || v.b, host
}

// number reads a whole number.
func number[T any, N int | uint](at func(*T) *N) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		if v, ok := b.typed(a, kindNumber); ok {
			*at(to) = N(min(v.n, math.MaxInt32))
		}
	}
}

// signed reads a whole number, which stands in quotes below 0: the language has no minus.
func signed[T any](at func(*T) *int) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.attr(a)
		n, err := strconv.ParseInt(v.text(), 10, 32)
		switch {
		case !ok:
		case v.kind != kindNumber && v.kind != kindString, err != nil, v.kind == kindString && n >= 0:
			b.c.report(codeType, v.rng, "write "+a.write()+`, or "-5"`, "%s must be a number, or one below 0 in quotes, not %s", a.Name, v.describe())
		default:
			*at(to) = int(n)
		}
	}
}

// count reads a number of 1 or more: 0 would read like "none at all" and mean
// "no limit".
func count[T any](at func(*T) *int) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindNumber)
		if ok && v.n == 0 {
			b.c.report(codeValue, v.rng, "leave "+a.Name+" out for no limit, or write 1 or more", "%s = 0 is ambiguous", a.Name)
		}
		*at(to) = int(min(v.n, math.MaxInt32))
	}
}

// word reads a text. Of words in an order, each grants more than those before it.
func word[T any, W ~string](at func(*T) *W, order ...W) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindString)
		if !ok {
			return
		}
		if slices.Index(order, W(v.s)) > slices.Index(order, *at(to)) {
			b.need(a.Layer, v, fmt.Sprintf("%s = %q", a.Name, v.s))
		}
		*at(to) = W(v.s)
	}
}

// kept reads a word of valid.Kept. One that stands before the base's keeps less from others.
func kept(i int, at func(*sandbox.Processor) *string) reader[profile] {
	words := valid.Kept[i].Words
	return func(b *block, a *Attribute, p *profile) {
		v, ok := b.typed(a, kindString)
		if !ok {
			return
		}
		rank, to := slices.Index(words, v.s), at(&p.Processor)
		if rank >= 0 && rank < slices.Index(words, *to) {
			b.need(a.Layer, v, fmt.Sprintf("%s = %q", a.Name, v.s))
		}
		if *to = v.s; rank == 0 {
			*to = "" // as where nobody says it
		}
	}
}

// measure reads a text with a unit. A number without one is told how it would be
// written.
func measure[T, V any](parse func(string) (V, error), at func(*T) *V) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.attr(a)
		if !ok {
			return
		}
		n, err := parse(v.s)
		switch {
		case v.kind != kindString:
			b.c.report(codeType, v.rng, bareNumber(b.c, a, v, parse), "%s must be a string, not %s", a.Name, v.describe())
		case err != nil:
			b.c.report(codeValue, v.rng, instead(a, err), "%s: %v", a.Name, err)
		default:
			*at(to) = n
		}
	}
}

// instead is the step for a text that parse refuses.
func instead(a *Attribute, err error) string {
	var better *badValue
	if errors.As(err, &better) && better.next != "" {
		return better.next
	}
	return "for example " + a.write()
}

// bareNumber is the step for a value that should be a text with a unit.
func bareNumber[V any](c *compiler, a *Attribute, v value, parse func(string) (V, error)) string {
	text := c.text(v.rng) // as written: 0022 is a text here, and a number is not
	if v.kind != kindNumber {
		return "for example " + a.write()
	}
	if _, err := parse(text); err != nil {
		return strings.Replace(instead(a, err), "write it as ", "write "+a.Name+" = ", 1)
	}
	return fmt.Sprintf("write %s = %q", a.Name, text)
}

// account reads a name or a number of a user or group.
func account[T any, S ~string](at func(*T) *S) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.attr(a)
		if ok && v.kind != kindString && v.kind != kindNumber {
			b.c.report(codeType, v.rng, "write "+a.write(), "%s must be a name or a number, not %s", a.Name, v.describe())
		} else if ok {
			*at(to) = S(v.text())
		}
	}
}

// list reads texts in their order.
func list[T any](at func(*T) *[]string) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		if items, ok := b.strs(a); ok {
			*at(to) = texts(items)
		}
	}
}

// words reads texts that have no order: sorted, none twice.
func words[T any, W ~string](at func(*T) *[]W) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		items, ok := b.strs(a)
		if !ok {
			return
		}
		*at(to) = []W{}
		for _, s := range b.c.sortWords(b.join(a.At()), items) {
			*at(to) = append(*at(to), W(s))
		}
	}
}

// environment reads variables. Numbers and truth values are texts there.
func environment[T any](at func(*T) *map[string]string) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindObject)
		if !ok || !b.c.spend(v.rng, 64*len(v.obj)) {
			return
		}
		env := make(map[string]string, len(v.obj))
		for _, f := range v.obj {
			if !f.val.scalar() {
				b.c.report(codeType, f.val.rng, "write a string", "env: %s cannot be %s", clip(f.name), f.val.describe())
			}
			env[f.name] = f.val.text()
			b.c.put(b.join("env."+f.name), f.val.rng)
		}
		*at(to) = env
	}
}

// reference reads acl = acl.office.
func reference[T any](kind string, at func(*T) *string) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		if name, ok := b.reference(a, kind); ok {
			*at(to) = name
		}
	}
}

// spelled are typed words as texts.
func spelled[W ~string](words []W) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// The bounds of numbers as they are written.
func counts[N int | int64](least, most N) string { return fmt.Sprintf("%d to %d", least, most) }

func sizeBounds(least, most int64) string {
	return explain.FormatSize(least) + " to " + explain.FormatSize(most)
}

func paceBounds(least, most int) string {
	return explain.FormatPace(least) + " to " + explain.FormatPace(most)
}

func timeBounds(least, most time.Duration) string {
	return explain.FormatDuration(least) + " to " + explain.FormatDuration(most)
}
