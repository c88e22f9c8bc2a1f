package main

import (
	"runtime"
	"time"

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
	fd   int
	data []byte // nil = nothing
}

// receive takes messages off a socket, which is over once it is shut down and nothing is in
// it. What is longer than maxRead is cut.
func (p *pipes) receive(fd int, x *pipe, over bool, now time.Time) {
	for range maxMessages {
		waits, rights := peek(fd)
		switch {
		case !waits && over:
			p.drop(fd, x, now)
			return
		case !waits:
			return
		case rights:
			p.aside(fd)
			return
		}
		if n, _, err := unix.Recvfrom(fd, p.buf, unix.MSG_DONTWAIT); err == nil {
			p.ledger.message(p.writerOf(x, now), p.buf[:n], now)
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
func (p *pipes) aside(fd int) {
	p.away++
	_ = p.watch(unix.EPOLL_CTL_DEL, fd)
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
		case p.back <- message{fd, buf[:n]}:
		case <-p.done:
		}
	}()
}

// returned goes on with a socket that a message was taken off aside.
func (p *pipes) returned(m message, now time.Time) error {
	p.away--
	if m.data != nil {
		p.ledger.message(p.writerOf(p.open[m.fd], now), m.data, now)
	}
	return p.watch(unix.EPOLL_CTL_ADD, m.fd)
}
