package builtin

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"
)

// sheet is a record as a form: what the journal made of one, cut where the values stand that differ from client to client. To
// fill it in costs a tenth of making the record.
type sheet [][]byte

// The values of the record that a sheet is cut from.
var (
	sheetTime   = time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	sheetPeer   = inbound.Peer{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, 3, 4}), 56789)}
	sheetLocal  = netip.MustParseAddrPort("5.6.7.8:9")
	sheetTook   = 1234 * time.Microsecond
	sheetNumber = uint64(math.MaxUint64)
)

// newSheet cuts a record of those at so many of them, in order.
func newSheet(r journal.Record, at ...string) (sheet, error) {
	var b bytes.Buffer
	w := journal.New(&b, false)
	w.Now(r)
	w.Close(time.Minute)
	var s sheet
	rest := b.Bytes()
	for _, value := range at {
		before, after, found := bytes.Cut(rest, []byte(value))
		if !found {
			return nil, fmt.Errorf("%s is not in its place in %s", value, b.Bytes())
		}
		s, rest = append(s, before), after
	}
	return append(s, rest), nil
}

// head is what all sheets are cut at first.
func head(more ...string) []string {
	return append([]string{sheetTime.Format(time.RFC3339Nano), fmt.Sprint(sheetNumber), sheetPeer.Addr.Addr().String(), fmt.Sprint(sheetPeer.Addr.Port())}, more...)
}

// fill appends the record up to the values that not all sheets have.
func (s sheet) fill(to []byte, at time.Time, id uint64, p *inbound.Peer) []byte {
	to = at.AppendFormat(append(to, s[0]...), time.RFC3339Nano)
	to = strconv.AppendUint(append(to, s[1]...), id, 10)
	to = p.Addr.Addr().AppendTo(append(to, s[2]...))
	to = strconv.AppendUint(append(to, s[3]...), uint64(p.Addr.Port()), 10)
	return append(to, s[4]...)
}

// decided appends the record of a client that was admitted, if there is a sheet for it.
func (r *records) decided(d *journal.Decision, rule int) bool {
	if d.Refused != "" || !d.Client.Addr.IsValid() || d.Network != "tcp" || !d.Local.IsValid() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sheets[rule]
	if !ok {
		form := *d
		form.At, form.ID, form.Client, form.Local = sheetTime, sheetNumber, sheetPeer, sheetLocal
		s, _ = newSheet(&form, head(sheetLocal.String())...) // nil stands for none, and its records are made one by one
		r.sheets[rule] = s
	}
	if s == nil {
		return false
	}
	text := d.Local.AppendTo(s.fill(r.text, d.At, d.ID, &d.Client))
	r.add(append(text, s[5]...))
	return true
}

// ordinary appends the record of a session that ended in order, if there is a sheet for it.
func (r *records) ordinary(e *journal.Session) bool {
	if e.Reason != journal.Exit || e.Detail != "" || !e.Heard || !e.Client.Addr.IsValid() || len(e.Limits) > 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over == nil {
		form := *e
		form.At, form.ID, form.Client, form.Took, form.In, form.Out = sheetTime, sheetNumber, sheetPeer, sheetTook, sheetNumber-1, sheetNumber-2
		in, out := fmt.Sprint(form.In), fmt.Sprint(form.Out)
		var err error
		if r.over, err = newSheet(&form, head("1.234", in, out)...); err != nil {
			r.over = sheet{}
		}
	}
	s := r.over
	if len(s) == 0 {
		return false
	}
	text := strconv.AppendFloat(s.fill(r.text, e.At, e.ID, &e.Client), float64(e.Took.Microseconds())/1000, 'f', -1, 64)
	text = strconv.AppendUint(append(text, s[5]...), e.In, 10)
	text = strconv.AppendUint(append(text, s[6]...), e.Out, 10)
	r.add(append(text, s[7]...))
	return true
}

const (
	// gatherFor is how long the first of some lines waits for others, gatherMost when it waits no longer: to hand each of them
	// over by itself costs more than to make it.
	gatherFor  = 5 * time.Millisecond
	gatherMost = 16 << 10
)

// add keeps text, which is what waited and a line more. The caller holds mu.
func (r *records) add(text []byte) {
	if r.text = text; len(text) >= gatherMost {
		r.hand()
	} else if r.waits == nil {
		r.waits = time.AfterFunc(gatherFor, r.flush)
	}
}

// hand gives the lines that wait away. The caller holds mu.
func (r *records) hand() {
	if r.waits != nil {
		r.waits.Stop()
		r.waits = nil
	}
	if len(r.text) > 0 {
		r.log(journal.Lines(slices.Clone(r.text)))
		r.text = r.text[:0]
	}
}

func (r *records) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hand()
}

// put logs a record that has no sheet, behind those that wait.
func (r *records) put(record journal.Record) {
	r.flush()
	r.log(record)
}
