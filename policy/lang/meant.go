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
)

// What people write for a time, a size, a rate or a share in other languages, in the form
// that it has here. "" is what cannot be understood without a doubt.

// misread is why s cannot be read, with what it means.
func misread(why, meant string) error {
	if meant == "" {
		return errors.New(why)
	}
	return &badValue{why, fmt.Sprintf("write it as %q", meant)}
}

// amount is a number, and the word after it.
var amount = expression(`^\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-z%]*)\.?\s*`)

// take reads an amount from the front of s, which is in lower case.
func take(s string) (n float64, unit, rest string, ok bool) {
	m := amount().FindStringSubmatch(s)
	if m == nil {
		return 0, "", s, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	return n, m[2], s[len(m[0]):], err == nil
}

// timeWord is the unit that a word stands for, 0 for none.
func timeWord(s string) time.Duration {
	for unit, words := range map[time.Duration][]string{
		time.Millisecond: {"ms", "msec", "millisecond"}, time.Second: {"s", "sec", "second"}, time.Minute: {"m", "min", "minute"},
		time.Hour: {"h", "hr", "hour"}, 24 * time.Hour: {"d", "day"}, 7 * 24 * time.Hour: {"w", "week"},
	} {
		if slices.Contains(words, s) || len(s) > 2 && slices.Contains(words, strings.TrimSuffix(s, "s")) {
			return unit
		}
	}
	return 0
}

// meantDuration understands "45 minutes", "1.5h" and "60", of seconds.
func meantDuration(s string) string {
	var sum float64
	for rest := strings.ToLower(s); rest != "" || s == ""; {
		n, word, next, ok := take(rest)
		unit := timeWord(word)
		if word == "" && next == "" && len(rest) == len(s) {
			unit = time.Second
		}
		if !ok || unit == 0 {
			return ""
		}
		sum, rest = sum+n*float64(unit), next
	}
	if sum < float64(time.Millisecond) || sum > float64(valid.LongestSession) {
		return ""
	}
	return explain.FormatDuration(time.Duration(sum).Round(time.Millisecond))
}

// meantSize understands "1G", "4mb" and "65536", of bytes.
func meantSize(s string) string {
	n, word, rest, ok := take(strings.ToLower(s))
	bytes := map[string]float64{"": 1, "b": 1, "byte": 1, "bytes": 1}[word]
	for i, prefix := range []string{"k", "m", "g", "t"} {
		if slices.Contains([]string{"", "b", "ib"}, strings.TrimPrefix(word, prefix)) && word != "b" && strings.HasPrefix(word, prefix) {
			bytes = math.Pow(1024, float64(i+1))
		}
	}
	n *= bytes
	if !ok || rest != "" || n < 1 || n != math.Trunc(n) || n > 1<<50 || word == "" && n < 4096 {
		return "" // "64" may be anything
	}
	text := explain.FormatSize(int64(n))
	if got, err := parseSize(text); err != nil || got != int64(n) {
		text = fmt.Sprintf("%dB", int64(n))
	}
	return text
}

// per is between the number of a rate and its time.
var per = expression(`\s*(?:connections?|sessions?|times?|x)?\s*(?:/|\b(?:per|a|an|each|every|in)\b)\s*`)

// meantPace understands "1k/s", "4096 bytes per second" and "64KiB/min".
func meantPace(s string) string {
	s = strings.ToLower(s)
	size, span := s, time.Second
	if at := per().FindStringIndex(s); at != nil {
		size, span = s[:at[0]], timeWord(strings.TrimSpace(s[at[1]:]))
	} else if short, ok := strings.CutSuffix(s, "bps"); ok {
		size = short + "b"
	}
	if n, err := strconv.Atoi(size); err == nil { // of bytes: nothing else goes by
		size = fmt.Sprint(n, "B")
	} else {
		size = meantSize(size)
	}
	n, err := parseSize(size)
	if err != nil || span < time.Second {
		return ""
	}
	return explain.FormatPace(max(1, int(n*int64(time.Second)/int64(span))))
}

// meantRate understands "3 per minute", "0.5/s" and "10/5min".
func meantRate(s string) string {
	s = strings.ToLower(s)
	at := per().FindStringIndex(s)
	if at == nil {
		return ""
	}
	n, word, rest, ok := take(s[:at[0]])
	if !ok || rest != "" || word != "" {
		return ""
	}
	span, unit := s[at[1]:], time.Duration(0)
	k := 1.0
	if many, word, rest, ok := take(span); ok && rest == "" {
		k, unit = many, timeWord(word)
	} else {
		unit = timeWord(strings.TrimSpace(span))
	}
	if unit == 0 || k == 0 {
		return ""
	}
	for _, to := range []string{"s", "min", "h", "d"} {
		if events := n * float64(durations[to]) / (k * float64(unit)); events >= 1 && events == math.Trunc(events) && events <= math.MaxInt32 {
			return fmt.Sprintf("%d/%s", int64(events), to)
		}
	}
	return ""
}

// meantShare understands "0.5", "50" and "2 cores".
func meantShare(s string) string {
	n, word, rest, ok := take(strings.ToLower(s))
	switch {
	case slices.Contains([]string{"core", "cores", "cpu", "cpus"}, word), word == "" && n != math.Trunc(n) && n < 10:
		n *= 100
	case word == "%", word == "percent", word == "" && n >= 10:
	default:
		return ""
	}
	if !ok || rest != "" || n < 1 || n != math.Trunc(n) {
		return ""
	}
	return fmt.Sprintf("%d%%", int64(n))
}

// octal are the digits of a mode.
var octal = expression(`^0?o?([0-7]{3})$`)

// meantMode understands "660" and "0o660".
func meantMode(s string) string {
	if m := octal().FindStringSubmatch(s); m != nil {
		return "0" + m[1]
	}
	return ""
}
