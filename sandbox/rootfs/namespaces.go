package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Wanted says which namespaces Build makes beside the mount namespace.
type Wanted struct {
	// NewNet is an empty network namespace: only a loopback interface, left down.
	NewNet bool
	NewUTS bool
	NewIPC bool
	// NewCgroup roots the view at the cgroup the calling thread is in.
	NewCgroup bool
}

// Namespaces holds the namespaces Build made, each as a descriptor for setns(2)
// (close-on-exec), or -1 where none was asked for. They live as long as these
// descriptors and the processes inside.
type Namespaces struct {
	Mnt, Net, UTS, IPC, Cgroup int
}

// nsType ties a namespace's name in /proc/PID/ns to its flag and field.
type nsType struct {
	name string
	flag int
	want func(Wanted) bool
	fd   func(*Namespaces) *int
}

var nsTypes = []nsType{
	{"mnt", unix.CLONE_NEWNS, func(Wanted) bool { return true }, func(n *Namespaces) *int { return &n.Mnt }},
	{"net", unix.CLONE_NEWNET, func(w Wanted) bool { return w.NewNet }, func(n *Namespaces) *int { return &n.Net }},
	{"uts", unix.CLONE_NEWUTS, func(w Wanted) bool { return w.NewUTS }, func(n *Namespaces) *int { return &n.UTS }},
	{"ipc", unix.CLONE_NEWIPC, func(w Wanted) bool { return w.NewIPC }, func(n *Namespaces) *int { return &n.IPC }},
	{"cgroup", unix.CLONE_NEWCGROUP, func(w Wanted) bool { return w.NewCgroup }, func(n *Namespaces) *int { return &n.Cgroup }},
}

// flags is what unshare(2) takes.
func (w Wanted) flags() int {
	var flags int
	for _, t := range nsTypes {
		if t.want(w) {
			flags |= t.flag
		}
	}
	return flags
}

// openNamespaces opens the calling thread's namespaces; dir is its /proc/.../ns.
func openNamespaces(dir int, w Wanted) (*Namespaces, error) {
	n := &Namespaces{-1, -1, -1, -1, -1}
	for _, t := range nsTypes {
		if !t.want(w) {
			continue
		}
		fd, err := unix.Openat(dir, t.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("open %s namespace: %w", t.name, err)
		}
		*t.fd(n) = fd
	}
	return n, nil
}

// Close lets go of the namespaces. Calling it again does nothing.
func (n *Namespaces) Close() error {
	var errs []error
	for _, t := range nsTypes {
		fd := t.fd(n)
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
		}
		*fd = -1
	}
	return errors.Join(errs...)
}
