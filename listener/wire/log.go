package wire

// Kind is the first byte of a message of the log worker's link.
type Kind byte

// What the broker tells the log worker, and what it hears.
const (
	Attach  Kind = 'A' // slot u32, service name, with one descriptor: read this service's stderr
	Records Kind = 'B' // likewise of a built-in, which writes records
	Detach  Kind = 'D' // slot u32: no longer
	Audit   Kind = 'N' // with one descriptor: read the kernel's audit records
	Belongs Kind = 'R' // pid u32, session id u64 (0 = nobody's): the answer to Whose

	Whose     Kind = 'Q' // pid u32, uid u32: which session does this process belong to?
	Violation Kind = 'V' // pid u32, call i32, arch u32: a filter killed it
	Lines     Kind = 'L' // whole lines for the log
)

// The largest messages of the log worker's link.
const (
	MaxOrder  = 1 + 4 + maxName
	MaxReport = 64 << 10
	maxName   = 255
)

// Order is a message to the log worker.
type Order struct {
	Kind Kind
	Slot uint32
	Name string
	PID  uint32
	ID   uint64
}

// Encode makes the message.
func (o Order) Encode() []byte {
	m := []byte{byte(o.Kind)}
	switch o.Kind {
	case Attach, Records:
		return append(le.AppendUint32(m, o.Slot), o.Name...)
	case Detach:
		return le.AppendUint32(m, o.Slot)
	case Belongs:
		return le.AppendUint64(le.AppendUint32(m, o.PID), o.ID)
	}
	return m
}

// DecodeOrder takes the message apart; fds is how many descriptors came with it.
func DecodeOrder(m []byte, fds int) (Order, error) {
	if len(m) > 0 {
		switch o := (Order{Kind: Kind(m[0])}); {
		case (o.Kind == Attach || o.Kind == Records) && len(m) > 5 && len(m) <= MaxOrder && fds == 1:
			o.Slot, o.Name = le.Uint32(m[1:]), string(m[5:])
			return o, nil
		case o.Kind == Detach && len(m) == 5 && fds == 0:
			o.Slot = le.Uint32(m[1:])
			return o, nil
		case o.Kind == Audit && len(m) == 1 && fds == 1:
			return o, nil
		case o.Kind == Belongs && len(m) == 13 && fds == 0:
			o.PID, o.ID = le.Uint32(m[1:]), le.Uint64(m[5:])
			return o, nil
		}
	}
	return Order{}, &Error{"order", len(m)}
}

// Report is a message of the log worker.
type Report struct {
	Kind     Kind
	PID, UID uint32
	Call     int32
	Arch     uint32
	LogText  []byte // of Lines; in a decoded report, a part of its message
}

// Encode makes the message.
func (r Report) Encode() []byte {
	m := []byte{byte(r.Kind)}
	switch r.Kind {
	case Whose:
		return le.AppendUint32(le.AppendUint32(m, r.PID), r.UID)
	case Violation:
		return le.AppendUint32(le.AppendUint32(le.AppendUint32(m, r.PID), uint32(r.Call)), r.Arch)
	case Lines:
		return append(m, r.LogText...)
	}
	return m
}

// DecodeReport takes the message apart. Of lines it looks at the last byte alone.
func DecodeReport(m []byte) (Report, error) {
	if len(m) > 0 {
		switch r := (Report{Kind: Kind(m[0])}); {
		case r.Kind == Whose && len(m) == 9:
			r.PID, r.UID = le.Uint32(m[1:]), le.Uint32(m[5:])
			return r, nil
		case r.Kind == Violation && len(m) == 13:
			r.PID, r.Call, r.Arch = le.Uint32(m[1:]), int32(le.Uint32(m[5:])), le.Uint32(m[9:])
			return r, nil
		case r.Kind == Lines && len(m) > 1 && m[len(m)-1] == '\n':
			r.LogText = m[1:]
			return r, nil
		}
	}
	return Report{}, &Error{"report", len(m)}
}
