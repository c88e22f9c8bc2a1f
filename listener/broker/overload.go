package broker

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// overloaded tells whether the host's load of the last minute (proc_loadavg(5)) is where the
// service's limit sheds. It is read at most once a second; one that cannot be read is too high.
func (s *service) overloaded() bool {
	b, most := s.b, s.gen.doc.Policy.Limit(s.spec.Limit).MaxLoad
	if most == 0 {
		return false
	}
	if now := b.loop.Now(); b.loadRead == 0 || now-b.loadRead >= int64(time.Second) {
		text := make([]byte, 64)
		n, _ := b.conf.LoadAvg.ReadAt(text, 0) // io.EOF: it is short
		minute, _, _ := bytes.Cut(text[:n], []byte(" "))
		load, err := strconv.ParseFloat(string(minute), 64)
		if b.loadRead, b.hostLoad = now, load; err != nil {
			b.hostLoad = math.Inf(1)
		}
	}
	return b.hostLoad*100 >= float64(most)
}
