package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"casemate/listener/builtin"
	"casemate/listener/journal"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// firstInherited is the first descriptor of the LISTEN_FDS protocol
// (sd_listen_fds(3)).
const firstInherited = 3

// maxInherited is far above what a service can listen on, and far below what a
// wrong number would make a loop of.
const maxInherited = 4096

func runBuiltin(ctx context.Context, _ []string) error {
	// What it does is a system call or two for each client and next to nothing else. With a second processor the
	// runtime wakes a thread for each of them to look for more work. Those who hold one while they wait ask for their own.
	runtime.GOMAXPROCS(1)
	files, err := inherited(os.LookupEnv, os.Unsetenv, os.Getpid())
	if err != nil {
		return err
	}
	if len(files) < 2 {
		return errors.New("what it is told of its service did not come")
	}
	config, err := builtin.Decode(files[0]) // the sockets come behind it and what is kept
	if err != nil {
		return err
	}
	leave, end := signal.NotifyContext(context.Background(), wire.Leave)
	defer end()
	// Left alone by its broker (on_stop = "leave"), it serves on without a log.
	signal.Ignore(syscall.SIGPIPE)
	log := journal.New(os.Stderr, false)
	defer log.Close(closeGrace)
	shun := make(chan os.Signal, 1)
	signal.Notify(shun, wire.Shun)
	return builtin.Serve(ctx, builtin.Orders{Leaving: leave.Done(), Said: files[0], Shun: shun, Kept: files[1]}, config, files[2:], log.Now)
}

// inherited takes the descriptors of the LISTEN_FDS protocol and removes its
// variables, so that nothing takes them twice. LISTEN_FDS counts those of the
// service; sockets whose address is busy are not there, and the others are the first.
func inherited(lookup func(string) (string, bool), unset func(string) error, pid int) ([]*os.File, error) {
	count, _ := lookup("LISTEN_FDS")
	owner, owned := lookup("LISTEN_PID")
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		if err := unset(name); err != nil {
			return nil, fmt.Errorf("unset %s: %w", name, err)
		}
	}
	if owned && owner != strconv.Itoa(pid) {
		return nil, fmt.Errorf("LISTEN_PID is %q, this process is %d", owner, pid)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxInherited {
		return nil, fmt.Errorf("LISTEN_FDS is %q, want the number of sockets", count)
	}
	var files []*os.File
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			break
		}
		files = append(files, os.NewFile(uintptr(fd), "fd "+strconv.Itoa(fd)))
	}
	return files, nil
}
