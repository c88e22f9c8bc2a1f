package admission

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// Kept is what a Limiter has outstanding, for the one that comes after it in another process on the same clock: what
// rates are owed, and penalties. Sessions are not in it: they end with who counts them.
type Kept struct {
	tat     int64 // of the service as a whole
	sources []owed
}

// owed is one entry with something outstanding.
type owed struct {
	key          key
	tat, penalty int64
}

func (o *owed) until() int64 { return max(o.tat, o.penalty) }

// MaxKept bounds the sources of a Kept: those that are shut out, or owe, the longest.
const MaxKept = 4096

// Keep is what lasts for longer than least ns. It looks at every source.
func (l *Limiter) Keep(now, least int64) *Kept {
	l.tick(now)
	k := &Kept{tat: l.tat}
	for _, e := range l.table.all {
		if o := (owed{e.key, e.tat, e.penalty}); o.until() > now+least {
			k.sources = append(k.sources, o)
		}
	}
	if len(k.sources) > MaxKept {
		slices.SortFunc(k.sources, func(a, b owed) int { return cmp.Compare(b.until(), a.until()) })
		k.sources = k.sources[:MaxKept]
	}
	return k
}

// maxFormer bounds the prefix lengths at which penalties of a Kept stand that the limits do not have any more.
const maxFormer = 8

// Recall takes a Kept over, as Reconfigure takes over what is there: nothing becomes less than it is, nor more than
// the limits let it be. Doing it again changes nothing.
func (l *Limiter) Recall(now int64, k *Kept) {
	l.tick(now)
	c := &l.conf
	l.tat = max(l.tat, c.rate.capped(k.tat, now))
	for _, o := range k.sources {
		at := o.key
		if !at.wide {
			at = c.source.widen(at)
		} else if !c.source.has(at) {
			continue
		}
		tat, penalty := c.source.rate.capped(o.tat, now), min(o.penalty, now+c.max)
		if f := (key{family: at.family, bits: at.bits}); penalty > now && !c.source.counted(at) && !slices.Contains(l.former, f) {
			if len(l.former) == maxFormer {
				continue
			}
			l.former = append(l.former, f)
		}
		e := l.table.index[at]
		if e == nil {
			if max(tat, penalty) <= now || !l.table.room(now, 1) {
				continue
			}
			e = l.table.insert(at)
		}
		e.tat, e.penalty = max(e.tat, tat), max(e.penalty, penalty)
	}
}

// counted tells whether k is as a source is cut.
func (c *sourceConfig) counted(k key) bool { return k.wide || k.source().cut(c.bits4, c.bits6) == k }

// The text of a Kept: the tat of all, the number of sources, and of each its family, bits and whether it is a network
// around sources, its address, tat and penalty. Numbers are little-endian.
const (
	keptHead = 8 + 4
	keptEach = 4 + 16 + 16
)

// MaxKeptText is the length of the longest text of a Kept, in bytes.
const MaxKeptText = keptHead + MaxKept*keptEach

// Append appends the text of k, which DecodeKept reads.
func (k *Kept) Append(b []byte) []byte {
	put := binary.LittleEndian
	b = put.AppendUint32(put.AppendUint64(b, uint64(k.tat)), uint32(len(k.sources)))
	for _, o := range k.sources {
		wide := byte(0)
		if o.key.wide {
			wide = 1
		}
		b = append(b, byte(o.key.family), o.key.bits, wide, 0)
		for _, n := range []uint64{o.key.hi, o.key.lo, uint64(o.tat), uint64(o.penalty)} {
			b = put.AppendUint64(b, n)
		}
	}
	return b
}

var errKept = errors.New("what limits remember: not the text of it")

// DecodeKept takes the text of a Kept off the front of b, strictly: a source has the one form that Append gives it.
func DecodeKept(b []byte) (k *Kept, rest []byte, err error) {
	get := binary.LittleEndian
	if len(b) < keptHead {
		return nil, nil, errKept
	}
	k = &Kept{tat: int64(get.Uint64(b))}
	n := get.Uint32(b[8:])
	if b = b[keptHead:]; k.tat < 0 || n > MaxKept || len(b) < int(n)*keptEach {
		return nil, nil, errKept
	}
	for range n {
		s := Source{family: family(b[0]), hi: get.Uint64(b[4:]), lo: get.Uint64(b[12:])}
		o := owed{key: s.cut(b[1], b[1]), tat: int64(get.Uint64(b[20:])), penalty: int64(get.Uint64(b[28:]))}
		most := map[family]byte{nobody: 0, inet4: 32, inet6: 128, local: 0}
		bits, known := most[s.family]
		wide := b[2] == 1
		if o.key.source() != s || !known || b[1] > bits || b[2] > 1 || b[3] != 0 || o.tat < 0 || o.penalty < 0 ||
			wide && (o.key.bits == 0 || o.penalty != 0) || s.family == nobody && s != (Source{}) {
			return nil, nil, errKept
		}
		o.key.wide = wide
		k.sources, b = append(k.sources, o), b[keptEach:]
	}
	return k, b, nil
}
