package civil

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"casemate/acl"
	"casemate/acl/decide"
)

func TestParse(t *testing.T) {
	const d = day
	for _, c := range []struct {
		in   []string
		want []acl.Span
		out  string // what Write makes of it, "" for in
	}{
		{[]string{"mon 08:00-18:00"}, []acl.Span{{480, 1080}}, ""},
		{[]string{"mon-tue 08:00-18:00", "sat 09:00-12:00"}, []acl.Span{{480, 1080}, {d + 480, d + 1080}, {5*d + 540, 5*d + 720}}, ""},
		{[]string{"sat,sun"}, []acl.Span{{5 * d, 7 * d}}, "sat-sun"},
		{[]string{"fri 22:00-06:00"}, []acl.Span{{4*d + 1320, 5*d + 360}}, ""},
		{[]string{"sun 22:00-06:00"}, []acl.Span{{0, 360}, {6*d + 1320, 7 * d}}, ""},
		{[]string{"sun-mon"}, []acl.Span{{0, d}, {6 * d, 7 * d}}, "mon,sun"},
		{[]string{"sun", "mon 00:00-01:00"}, []acl.Span{{0, 60}, {6 * d, 7 * d}}, "sun; mon 00:00-01:00"},
		{[]string{"sat 12:00-24:00", "sun", "mon 00:00-13:00"}, []acl.Span{{0, 780}, {5*d + 720, 7 * d}}, ""},
		{[]string{"mon-sun"}, []acl.Span{{0, 7 * d}}, ""},
		{[]string{"00:00-24:00"}, []acl.Span{{0, 7 * d}}, "mon-sun"},
		{[]string{"mon 08:00-12:00", "mon 11:00-13:00", "mon 13:00-14:00"}, []acl.Span{{480, 840}}, "mon 08:00-14:00"},
	} {
		got, err := Parse(c.in...)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q is %v (%v), want %v", c.in, got, err, c.want)
		}
		if c.out == "" {
			c.out = strings.Join(c.in, "; ")
		}
		if out := strings.Join(Write(got), "; "); out != c.out {
			t.Errorf("%q is written %q, want %q", c.in, out, c.out)
		}
	}
	daily, err := Parse("22:00-06:00")
	if out := Write(daily); err != nil || len(daily) != 8 || !slices.Equal(out, []string{"22:00-06:00"}) {
		t.Errorf("every night is %v, written %q (%v)", daily, out, err)
	}
	for _, bad := range []string{"", "mon tue", "monday", "mon-", "mon 8:00-18:00", "mon 08:00", "08:00-08:00", "24:00-01:00", "mon 08:00-24:01", "mon 08:60-09:00",
		"mon 08:00-18:00 UTC", "mon 08:00-18:00-19:00", "mon 08:00:00-09:00:00", "+8:00-09:00", "mon,,tue"} {
		if got, err := Parse(bad); err == nil || !strings.Contains(err.Error(), ": write ") {
			t.Errorf("%q is %v (%v), want an error that says what to write", bad, got, err)
		}
	}
}

// TestWriteIsRead: whatever spans there are, what is written comes to them again.
func TestWriteIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var spans []acl.Span
		for at := r.IntN(3000); at < acl.Week; at += 1 + r.IntN(4000) {
			end := min(at+1+r.IntN(5000), acl.Week)
			spans = append(spans, acl.Span{at, end})
			at = end
		}
		if len(spans) == 0 {
			continue
		}
		got, err := Parse(Write(spans)...)
		if err != nil || !slices.Equal(got, spans) {
			t.Fatalf("%v is written %q, which is %v (%v)", spans, Write(spans), got, err)
		}
	}
}

// TestZones compares the table with the tz database at every quarter of an hour around
// changes and now and then between, for zones of which each has something of its own.
func TestZones(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Tokyo", "Etc/GMT+12", "Pacific/Chatham"} {
		z, ok := Zone(name)
		loc, err := time.LoadLocation(name)
		if !ok || err != nil {
			t.Fatalf("%s is %v, %v", name, z, err)
		}
		check := func(at time.Time) {
			l := at.In(loc)
			if want := (int(l.Weekday())+6)%7*day + l.Hour()*60 + l.Minute(); decide.Minute(z, at) != want {
				t.Fatalf("%s: %s is minute %d, want %d", name, l, decide.Minute(z, at), want)
			}
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2060; at = at.Add(61 * time.Hour) {
			check(at)
		}
		for _, c := range z.Changes {
			for q := range 24 {
				check(time.Unix(c[0]-10800+int64(q)*900, 0))
			}
		}
	}
	if z, ok := Zone("UTC"); z != nil || !ok {
		t.Errorf("UTC is %v, %v", z, ok)
	}
	if _, ok := Zone("Europe/Nowhere"); ok || len(Names()) < 500 || slices.Contains(Names(), "#") {
		t.Errorf("the table has %d names", len(Names()))
	}
	if got := Now(nil, time.Date(2026, 11, 26, 18, 5, 0, 0, time.UTC)); got != "thu 18:05 in UTC" {
		t.Errorf("now is %q", got)
	}
}
