package broker

import (
	"time"

	"casemate/listener/wire"
)

// written returns once the log has what there is to say of programs that had ended when it was
// called, in the workers' words too; or when these have had twice the time for last words. It is called off the loop.
func (b *Broker) written() {
	done, turn, number, end := false, 0, uint64(0), time.Now().Add(2*lastWords)
	look := func() {
		turn++
		done = turn > 2
		for _, w := range []*worker{b.logWorker.worker, b.denials.worker} {
			if turn == 2 { // epoll tells in turn: what had ended before the first has been reaped
				number = uint64(b.loop.Now())
				w.send(wire.Order{Kind: wire.Ping, Token: number}.Encode())
			}
			done = done && (w.fd < 0 || w.answered >= number)
		}
		b.log.Flush()
		done = done && !b.log.Behind()
	}
	for !done && time.Now().Before(end) && b.loop.Do(look) == nil {
		time.Sleep(time.Millisecond)
	}
}
