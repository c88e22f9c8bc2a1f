package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hold opens so many sessions of testdata/hold.c at addr, each of which has said that it is there. leave, which is
// never nil, ends those that are open.
func hold(addr netip.AddrPort, sessions int) (leave func(), err error) {
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		open   []int
		failed error
	)
	for c := range clients {
		wg.Go(func() {
			for i := c; i < sessions; i += clients {
				fd, err := holdOne(addr)
				mu.Lock()
				if err == nil {
					open = append(open, fd)
				}
				failed = errors.Join(failed, err)
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	}, failed
}

func holdOne(addr netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(holdPatience / time.Second)})
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	var said [1]byte
	for n := 0; err == nil && n != 1; {
		if n, err = unix.Read(fd, said[:]); err == unix.EINTR {
			n, err = 0, nil
		} else if n == 0 && err == nil {
			err = errors.New("it ended")
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open a session at %s: %w", addr, err)
	}
	return fd, nil
}

// holdPatience is how long a session may take to say that it is there.
const holdPatience = 10 * time.Second
