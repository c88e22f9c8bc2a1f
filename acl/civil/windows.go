package civil

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
)

var days = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const day = 24 * 60

// Parse reads windows of a week into the spans that they come to. A window is days, times
// or both: "mon-fri 08:00-18:00", "sat,sun", "22:00-06:00"; one that ends before it begins
// goes on to the next day, and without days it is every day's. The error's last part, behind
// ": write ", is what to write instead.
func Parse(windows ...string) ([]acl.Span, error) {
	var out []acl.Span
	for _, w := range windows {
		on, from, to, err := window(w)
		if err != nil {
			return nil, fmt.Errorf("window %q: %w", w, err)
		}
		for d := range days {
			if !on[d] {
				continue
			}
			begin, end := d*day+from, d*day+to
			out = append(out, acl.Span{begin, min(end, acl.Week)})
			if end > acl.Week {
				out = append(out, acl.Span{0, end - acl.Week})
			}
		}
	}
	slices.SortFunc(out, func(a, b acl.Span) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	joined := out[:0]
	for _, s := range out {
		if n := len(joined); n > 0 && s[0] <= joined[n-1][1] {
			joined[n-1][1] = max(joined[n-1][1], s[1])
		} else {
			joined = append(joined, s)
		}
	}
	return joined, nil
}

// window reads one: the days on which it begins, and its minutes of such a day.
func window(w string) (on [7]bool, from, to int, err error) {
	words := strings.Fields(w)
	to = day
	if n := len(words); n > 0 && strings.Contains(words[n-1], ":") {
		if from, to, err = times(words[n-1]); err != nil {
			return on, 0, 0, err
		}
		if words = words[:n-1]; n == 1 {
			words = []string{"mon-sun"}
		}
	}
	if len(words) != 1 {
		return on, 0, 0, fmt.Errorf("it is not days and times: write as in %q", "mon-fri 08:00-18:00")
	}
	for _, item := range strings.Split(words[0], ",") {
		a, b, several := strings.Cut(item, "-")
		first, last := slices.Index(days, a), slices.Index(days, b)
		if !several {
			last = first
		}
		if first < 0 || last < 0 {
			return on, 0, 0, fmt.Errorf("%q is no day: write mon, tue, wed, thu, fri, sat, sun, or two of them as in %q", item, "mon-fri")
		}
		for d := first; ; d = (d + 1) % 7 {
			if on[d] = true; d == last {
				break
			}
		}
	}
	return on, from, to, nil
}

// times reads "08:00-18:00". Of an end that comes first, it is the next day's.
func times(s string) (from, to int, err error) {
	a, b, _ := strings.Cut(s, "-")
	from, ok := clock(a)
	to, ok2 := clock(b)
	switch {
	case !ok || !ok2 || from == day:
		return 0, 0, fmt.Errorf("%q is not two times: write as in %q, up to 24:00", s, "08:00-18:00")
	case from == to:
		return 0, 0, fmt.Errorf("%q begins and ends at once: write 00:00-24:00 for the whole day", s)
	case to < from:
		to += day
	}
	return from, to, nil
}

// clock reads "08:00" as minutes.
func clock(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hour, err := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	n := int(hour)*60 + int(minute)
	return n, ok && len(h) == 2 && len(m) == 2 && err == nil && err2 == nil && minute < 60 && n <= day
}

// Rest is the week without spans.
func Rest(spans []acl.Span) (out []acl.Span) {
	last := 0
	for _, s := range append(slices.Clone(spans), acl.Span{acl.Week, acl.Week}) {
		if s[0] > last {
			out = append(out, acl.Span{last, s[0]})
		}
		last = s[1]
	}
	return out
}

// Write writes spans as windows that Parse reads back.
func Write(spans []acl.Span) (out []string) {
	spans = slices.Clone(spans)
	if n := len(spans); n > 1 && spans[0][0] == 0 && spans[n-1][1] == acl.Week && spans[0][1] < day {
		spans[n-1][1] += spans[0][1] // over the end of the week
		spans = spans[1:]
	}
	var order []string
	on := map[string][]int{} // the days of equal times
	add := func(d, from, to int) {
		times := ""
		if from != 0 || to != day {
			times = fmt.Sprintf("%02d:%02d-%s", from/60, from%60, end(to))
		}
		if on[times] == nil {
			order = append(order, times)
		}
		on[times] = append(on[times], d)
	}
	for _, s := range spans {
		for s[0] < s[1] {
			d, from := s[0]/day, s[0]%day
			to := s[1] - d*day
			if to > day && (from == 0 || to >= from+day) { // more than a window holds
				to = day
			}
			add(d%7, from, to)
			s[0] = d*day + to
		}
	}
	for _, times := range order {
		words := strings.TrimSpace(dayText(on[times]) + " " + times)
		if words == "" {
			words = "mon-sun"
		}
		out = append(out, words)
	}
	return out
}

// end writes the end of a window that begins on the day before, or on this one.
func end(to int) string {
	if to > day {
		to -= day
	}
	return fmt.Sprintf("%02d:%02d", to/60, to%60)
}

// dayText writes days in order, runs of them with a dash, and all of them as nothing.
func dayText(list []int) string {
	if len(list) == 7 {
		return ""
	}
	var out []string
	for i := 0; i < len(list); {
		last := i
		for last+1 < len(list) && list[last+1] == list[last]+1 {
			last++
		}
		word := days[list[i]]
		if last > i {
			word += "-" + days[list[last]]
		}
		out = append(out, word)
		i = last + 1
	}
	return strings.Join(out, ",")
}

// Now writes a time as the rules of a zone see it.
func Now(z *acl.Zone, t time.Time) string {
	m, name := decide.Minute(z, t), "UTC"
	if z != nil {
		name = z.Name
	}
	return fmt.Sprintf("%s %02d:%02d in %s", days[m/day], m%day/60, m%60, name)
}
