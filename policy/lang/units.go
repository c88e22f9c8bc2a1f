package lang

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/policy/explain"
)

// split takes "64MiB" apart. Numbers are plain: no sign, fraction or leading
// zero, at most 12 digits, so that products with any unit stay in int64.
func split(s string) (n int64, unit string, err error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 || i > 12 || i > 1 && s[0] == '0' {
		return 0, "", fmt.Errorf("%q does not begin with a plain number", clip(s))
	}
	n, err = strconv.ParseInt(s[:i], 10, 64)
	return n, s[i:], err
}

var durations = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// Duration reads a time as policies write it: "500ms", "90s", "10m", "1h30m", "2d".
func Duration(s string) (time.Duration, error) { return parseDuration(s) }

// parseDuration reads "500ms", "90s", "10m" (or "10min"), "1h", "2d", and several
// of them from the longest unit to the shortest: "1h30m".
func parseDuration(s string) (time.Duration, error) {
	d, err := plainDuration(s)
	if err != nil {
		return 0, misread(err.Error(), meantDuration(s))
	}
	return d, nil
}

func plainDuration(s string) (time.Duration, error) {
	var sum, last time.Duration
	for rest := s; rest != "" || s == ""; {
		n, unit, err := split(rest)
		if err != nil {
			return 0, err
		}
		if i := strings.IndexAny(unit, "0123456789"); i >= 0 {
			unit, rest = unit[:i], unit[i:]
		} else {
			rest = ""
		}
		d, ok := durations[unit]
		switch {
		case !ok:
			return 0, fmt.Errorf("%q has no unit of time (ms, s, m, h or d)", clip(s))
		case last != 0 && d >= last:
			return 0, fmt.Errorf("%q does not go from the longest unit to the shortest", clip(s))
		case n > (math.MaxInt64-int64(sum))/int64(d):
			return 0, fmt.Errorf("%q is too long", clip(s))
		}
		sum, last = sum+time.Duration(n)*d, d
	}
	return sum, nil
}

var sizes = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// parseSize reads "512B", "64KiB", "64MiB", "2GiB" and "1TiB".
func parseSize(s string) (int64, error) {
	n, unit, err := split(s)
	if err != nil {
		return 0, misread(err.Error(), meantSize(s))
	}
	bytes, ok := sizes[unit]
	switch {
	case !ok:
		return 0, misread(fmt.Sprintf("%q has no unit of size (B, KiB, MiB, GiB or TiB)", clip(s)), meantSize(s))
	case n > math.MaxInt64/bytes:
		return 0, fmt.Errorf("%q is too large", clip(s))
	}
	return n * bytes, nil
}

// parseRate reads "50/s", "10/min", "100/h" and "1000/d".
func parseRate(s string) (limit.Rate, error) {
	count, per, ok := strings.Cut(s, "/")
	n, rest, err := split(count)
	if err != nil || rest != "" || !ok {
		return limit.Rate{}, misread(fmt.Sprintf("%q is not a number of events for a time", clip(s)), meantRate(s))
	}
	if !slices.Contains([]string{"s", "min", "h", "d"}, per) {
		return limit.Rate{}, misread(fmt.Sprintf("%q is not counted for each s, min, h or d", clip(s)), meantRate(s))
	}
	return limit.Rate{Events: int(min(n, math.MaxInt32)), Per: durations[per]}, nil
}

// parsePace reads "512B/s" and "1KiB/s".
func parsePace(s string) (int, error) {
	size, ok := strings.CutSuffix(s, "/s")
	n, err := parseSize(size)
	if !ok || err != nil {
		return 0, misread(fmt.Sprintf("%q is not a size for each second", clip(s)), meantPace(s))
	}
	return int(min(n, math.MaxInt32)), nil
}

// parseCPU reads "50%" of one processor, in thousandths; "200%" is two.
func parseCPU(s string) (int64, error) {
	n, unit, err := split(s)
	if err != nil || unit != "%" {
		return 0, misread(fmt.Sprintf("%q is not a share of one processor in percent", clip(s)), meantShare(s))
	}
	return n * 10, nil
}

// parseSeconds reads a duration of whole seconds.
func parseSeconds(s string) (int64, error) {
	d, err := parseDuration(s)
	if err == nil && d%time.Second != 0 {
		err = misread(fmt.Sprintf("%q is not in whole seconds", clip(s)), explain.FormatDuration(d.Truncate(time.Second)+time.Second))
	}
	return int64(d / time.Second), err
}

// parseMode reads an octal file mode or umask: "0027".
func parseMode(s string) (uint32, error) {
	if len(s) != 4 || s[0] != '0' {
		return 0, misread(fmt.Sprintf("%q is not four octal digits", clip(s)), meantMode(s))
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not four octal digits", clip(s))
	}
	return uint32(n), nil
}

// badValue is a value that cannot be read, and one step that repairs it.
type badValue struct{ summary, next string }

// Error is what is wrong; measure shows next beside it.
func (b *badValue) Error() string { return b.summary }

func bad(next, format string, args ...any) *badValue {
	return &badValue{summary: clip(fmt.Sprintf(format, args...)), next: next}
}
