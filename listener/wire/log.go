package wire

// Kind is the first byte of a message of the log worker's link.
type Kind byte

// What the broker tells the log worker, and what it hears.
const (
	Text    Kind = 'R' // session id u64, service name, with one descriptor: a session's stderr, to read
	Syslog  Kind = 'S' // likewise the socket that its /dev/log leads to, until that is shut down
	Records Kind = 'B' // likewise of a built-in, which writes records
	Audit   Kind = 'N' // with one descriptor: read the kernel's audit records
	Ping    Kind = 'P' // answer with Pong
	Last    Kind = 'Z' // read what there is, and end

	Done      Kind = 'D' // session id u64, which of the above u8: read to its end
	Pong      Kind = 'O'
	Violation Kind = 'V' // pid u32, call i32, arch u32: a filter killed it
	Lines     Kind = 'L' // whole lines for the log
	Counted   Kind = 'C' // session id u64, counts u64 each: of a built-in's worker
)

// The largest messages of the log worker's link.
const (
	MaxOrder  = 1 + 8 + maxName
	MaxReport = 64 << 10
	maxName   = 255
)

// Order is a message to the log worker.
type Order struct {
	Kind Kind
	ID   uint64
	Name string
}

// Encode makes the message.
func (o Order) Encode() []byte {
	m := []byte{byte(o.Kind)}
	switch o.Kind {
	case Text, Syslog, Records:
		return append(le.AppendUint64(m, o.ID), o.Name...)
	}
	return m
}

// DecodeOrder takes the message apart; fds is how many descriptors came with it.
func DecodeOrder(m []byte, fds int) (Order, error) {
	if len(m) > 0 {
		switch o := (Order{Kind: Kind(m[0])}); {
		case (o.Kind == Text || o.Kind == Syslog || o.Kind == Records) && len(m) > 9 && len(m) <= MaxOrder && fds == 1:
			o.ID, o.Name = le.Uint64(m[1:]), string(m[9:])
			return o, nil
		case o.Kind == Audit && len(m) == 1 && fds == 1, (o.Kind == Ping || o.Kind == Last) && len(m) == 1 && fds == 0:
			return o, nil
		}
	}
	return Order{}, malformed("order", m)
}

// Report is a message of the log worker.
type Report struct {
	Kind    Kind
	Of      Kind // of Done: Text, Syslog or Records
	ID      uint64
	PID     uint32
	Call    int32
	Arch    uint32
	LogText []byte // of Lines; in a decoded report, a part of its message
	Counts  *Counts
}

// Encode makes the message.
func (r Report) Encode() []byte {
	m := []byte{byte(r.Kind)}
	switch r.Kind {
	case Done:
		return append(le.AppendUint64(m, r.ID), byte(r.Of))
	case Violation:
		return le.AppendUint32(le.AppendUint32(le.AppendUint32(m, r.PID), uint32(r.Call)), r.Arch)
	case Counted:
		m = le.AppendUint64(m, r.ID)
		for _, n := range r.Counts {
			m = le.AppendUint64(m, n)
		}
	case Lines:
		return append(m, r.LogText...)
	}
	return m
}

// DecodeReport takes the message apart. Of lines it looks at the last byte alone.
func DecodeReport(m []byte) (Report, error) {
	if len(m) > 0 {
		switch r := (Report{Kind: Kind(m[0])}); {
		case r.Kind == Done && len(m) == 10:
			r.ID, r.Of = le.Uint64(m[1:]), Kind(m[9])
			return r, nil
		case r.Kind == Pong && len(m) == 1:
			return r, nil
		case r.Kind == Violation && len(m) == 13:
			r.PID, r.Call, r.Arch = le.Uint32(m[1:]), int32(le.Uint32(m[5:])), le.Uint32(m[9:])
			return r, nil
		case r.Kind == Counted && len(m) == 9+8*len(r.Counts):
			r.ID, r.Counts = le.Uint64(m[1:]), new(Counts)
			for i := range r.Counts {
				r.Counts[i] = le.Uint64(m[9+8*i:])
			}
			return r, nil
		case r.Kind == Lines && len(m) > 1 && m[len(m)-1] == '\n':
			r.LogText = m[1:]
			return r, nil
		}
	}
	return Report{}, malformed("report", m)
}
