package journal

import "time"

// Rate is how many records may be written: Burst at once, then one Every so long.
type Rate struct {
	Every time.Duration
	Burst int
}

// Bucket is what has been written of a Rate. The zero Bucket is unused. Times
// are nanoseconds of one clock, which must not run backwards.
type Bucket struct{ full int64 }

// Room reports whether one more record may be written at now.
func (b *Bucket) Room(r Rate, now int64) bool {
	return max(b.full, now)+int64(r.Every)-now <= int64(r.Every)*int64(r.Burst)
}

// Take counts one more record.
func (b *Bucket) Take(r Rate, now int64) { b.full = max(b.full, now) + int64(r.Every) }

// Thinned lets a Rate's records through and counts the others.
type Thinned struct {
	Bucket
	Left uint64 // out, since somebody last set it to 0
}

// Allow takes one record, or counts it as left out.
func (t *Thinned) Allow(r Rate, now int64) bool {
	if !t.Room(r, now) {
		t.Left++
		return false
	}
	t.Take(r, now)
	return true
}
