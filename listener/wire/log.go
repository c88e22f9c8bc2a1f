package wire

// Kind is the first byte of a message of the log worker's link.
type Kind byte

// What the broker tells the log worker, and what it hears.
const (
	Pipes   Kind = 'A' // pipe u32, with one descriptor: a socket in whose queue lie the reading ends of PipesAtOnce pipes, numbered from this one on
	Sockets Kind = 'S' // likewise sockets that receive datagrams: where sessions have /dev/log
	Over    Kind = 'E' // pipe u32, the first of some sockets: nobody will send to any of them
	Belongs Kind = 'R' // pipe u32, session id u64, service name: the answer to Whose
	Records Kind = 'B' // likewise of a built-in, which writes records
	Audit   Kind = 'N' // with one descriptor: read the kernel's audit records
	Ping    Kind = 'P' // answer with Pong
	Last    Kind = 'Z' // read what there is, and end

	Whose     Kind = 'Q' // pipe u32: whose is it?
	Done      Kind = 'D' // pipe u32, the first of some: all is read, and nobody will write to any of them
	Pong      Kind = 'O'
	Violation Kind = 'V' // pid u32, call i32, arch u32: a filter killed it
	Lines     Kind = 'L' // whole lines for the log
	Counted   Kind = 'C' // pipe u32, counts u64 each: of the built-in whose pipe it is
)

// PipesAtOnce is how many pipes one message of kind Pipes stands for.
const PipesAtOnce = 16

// The largest messages of the log worker's link.
const (
	MaxOrder  = 1 + 4 + 8 + maxName
	MaxReport = 64 << 10
	maxName   = 255
)

// Order is a message to the log worker.
type Order struct {
	Kind Kind
	Pipe uint32
	ID   uint64
	Name string
}

// Encode makes the message.
func (o Order) Encode() []byte {
	m := []byte{byte(o.Kind)}
	switch o.Kind {
	case Pipes, Sockets, Over:
		return le.AppendUint32(m, o.Pipe)
	case Belongs, Records:
		return append(le.AppendUint64(le.AppendUint32(m, o.Pipe), o.ID), o.Name...)
	}
	return m
}

// DecodeOrder takes the message apart; fds is how many descriptors came with it.
func DecodeOrder(m []byte, fds int) (Order, error) {
	if len(m) > 0 {
		switch o := (Order{Kind: Kind(m[0])}); {
		case (o.Kind == Pipes || o.Kind == Sockets) && len(m) == 5 && fds == 1, o.Kind == Over && len(m) == 5 && fds == 0:
			o.Pipe = le.Uint32(m[1:])
			return o, nil
		case (o.Kind == Belongs || o.Kind == Records) && len(m) > 13 && len(m) <= MaxOrder && fds == 0:
			o.Pipe, o.ID, o.Name = le.Uint32(m[1:]), le.Uint64(m[5:]), string(m[13:])
			return o, nil
		case o.Kind == Audit && len(m) == 1 && fds == 1, (o.Kind == Ping || o.Kind == Last) && len(m) == 1 && fds == 0:
			return o, nil
		}
	}
	return Order{}, &Error{"order", len(m)}
}

// Report is a message of the log worker.
type Report struct {
	Kind    Kind
	Pipe    uint32
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
	case Whose, Done:
		return le.AppendUint32(m, r.Pipe)
	case Violation:
		return le.AppendUint32(le.AppendUint32(le.AppendUint32(m, r.PID), uint32(r.Call)), r.Arch)
	case Counted:
		m = le.AppendUint32(m, r.Pipe)
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
		case (r.Kind == Whose || r.Kind == Done) && len(m) == 5:
			r.Pipe = le.Uint32(m[1:])
			return r, nil
		case r.Kind == Pong && len(m) == 1:
			return r, nil
		case r.Kind == Violation && len(m) == 13:
			r.PID, r.Call, r.Arch = le.Uint32(m[1:]), int32(le.Uint32(m[5:])), le.Uint32(m[9:])
			return r, nil
		case r.Kind == Counted && len(m) == 5+8*len(r.Counts):
			r.Pipe, r.Counts = le.Uint32(m[1:]), new(Counts)
			for i := range r.Counts {
				r.Counts[i] = le.Uint64(m[5+8*i:])
			}
			return r, nil
		case r.Kind == Lines && len(m) > 1 && m[len(m)-1] == '\n':
			r.LogText = m[1:]
			return r, nil
		}
	}
	return Report{}, &Error{"report", len(m)}
}
