package main

import (
	"runtime"
	"time"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

const (
	// maxMessages is how many messages of one socket are taken in its turn, so that one
	// that is never empty keeps no other waiting.
	maxMessages = 64
	// interruptEvery is the patience with a call that never blocks by itself.
	interruptEvery = 50 * time.Millisecond
)

// message is what was sent to a socket.
type message struct {
	number uint32
	data   []byte // nil = nothing
}

// receive takes messages off a socket. What is longer than maxRead is cut.
func (p *pipes) receive(number uint32, x *pipe, now time.Time) {
	for n := 0; n < maxMessages || x.over; n++ {
		if x.away {
			return
		}
		waits, rights := peek(x.fd)
		switch {
		case !waits && x.over:
			p.drop(number, x)
			return
		case !waits:
			return
		case rights:
			p.aside(number, x)
			return
		}
		if n, _, err := unix.Recvfrom(x.fd, p.buf, unix.MSG_DONTWAIT); err == nil {
			p.ledger.message(x.writer, p.buf[:n], now)
		}
	}
}

// peek tells whether a message waits at a socket, and whether descriptors came with it.
func peek(fd int) (waits, rights bool) {
	_, _, flags, _, err := unix.Recvmsg(fd, nil, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil, err == nil && flags&unix.MSG_CTRUNC != 0
}

// aside takes a message with descriptors, which only a hostile program sends. They
// are closed by that, here, and where one was the last of a tcp socket whose linger its
// program has set, the call waits for the socket's peer: not on the goroutine that all
// others need, and not for long, since any signal ends such a wait.
func (p *pipes) aside(number uint32, x *pipe) {
	x.away = true
	p.away++
	_ = p.watch(unix.EPOLL_CTL_DEL, number)
	fd := x.fd
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done, thread := make(chan struct{}), unix.Gettid()
		go func() {
			for t := time.NewTicker(interruptEvery); ; {
				select {
				case <-done:
					t.Stop()
					return
				case <-t.C:
					_ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG) // the runtime's own, which means nothing by itself
				}
			}
		}()
		buf := make([]byte, maxRead)
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		close(done)
		if err != nil {
			n, buf = 0, nil // the broker was quicker
		}
		select {
		case p.back <- message{number, buf[:n]}:
		case <-p.done:
		}
	}()
}

// returned goes on with a socket that a message was taken off aside.
func (p *pipes) returned(m message, now time.Time) error {
	x := p.open[m.number]
	x.away = false
	p.away--
	if m.data != nil {
		p.ledger.message(x.writer, m.data, now)
	}
	err := p.watch(unix.EPOLL_CTL_ADD, m.number)
	if x.over {
		p.receive(m.number, x, now)
	}
	return err
}

// over takes the rest from sockets that nobody will send to any more.
func (p *pipes) over(first uint32, now time.Time) {
	for number := first; number < first+wire.PipesAtOnce; number++ {
		x := p.open[number]
		if x == nil || !x.socket || x.over {
			continue
		}
		x.over = true
		if x.writer != nil {
			p.receive(number, x, now)
		} else if waits, _ := peek(x.fd); waits || x.asked {
			p.ask(number, x)
		} else {
			p.drop(number, x)
		}
	}
}
