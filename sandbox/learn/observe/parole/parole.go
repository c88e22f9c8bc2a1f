// Package parole lets threads that ptrace(2) follows make calls without a stop, as long as
// these are like ones that were seen before.
//
// A program of eBPF runs at the exit of every call. Of a thread on parole it counts the calls that
// are known; after any other it notes what it was and sends the thread a signal, which its tracer
// gets to see and takes away. That costs a call some hundred nanoseconds, and a stop some four
// microseconds. The signal is one that the program neither handles nor blocks and whose default is
// to do nothing: a tracer that dies at any moment does no harm. (SECCOMP_RET_TRACE would have every call that it
// stands for answered by ENOSYS once its tracer is gone, and does not see what another filter refuses.)
//
// It is for amd64, Linux 5.8 and a kernel that describes itself (CONFIG_DEBUG_INFO_BTF). All
// programs of the host pay for the look at whether they are meant, while it is open.
package parole

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// How much is known at a time. What is beyond stops each time.
const (
	maxThreads = 4096
	maxKnown   = 1 << 15
	blindBytes = 1 << 16
)

// Office has the threads that are on parole.
type Office struct {
	threads, known, shapes, blind *ebpf.Map
	program                       *ebpf.Program
	link                          link.Link
	reader                        *ringbuf.Reader
	ended, end                    *os.File // a pipe that Close closes
	gone                          chan struct{}
}

// Open loads the program. shapes has that of each call by number; news is called when there is something for
// Unstopped. An error says what the kernel lacks.
func Open(shapes []Shape, news func()) (*Office, error) {
	if runtime.GOARCH != "amd64" {
		return nil, errors.New("parole: not on " + runtime.GOARCH)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("parole: %w", err)
	}
	w := new(Office)
	if err := w.open(shapes); err != nil {
		w.Close()
		return nil, fmt.Errorf("parole: %w", err)
	}
	w.gone = make(chan struct{})
	go func() {
		defer close(w.gone)
		for w.wait() {
			news()
		}
	}()
	return w, nil
}

func (w *Office) open(shapes []Shape) (err error) {
	o, err := kernelOffsets()
	if err != nil {
		return err
	}
	for _, m := range []struct {
		to   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&w.threads, ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: threadSize, MaxEntries: maxThreads}},
		{&w.known, ebpf.MapSpec{Type: ebpf.Hash, KeySize: uint32(unsafe.Sizeof(Key{})), ValueSize: 8, MaxEntries: maxKnown}},
		{&w.shapes, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(Shape{})), MaxEntries: calls}},
		{&w.blind, ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: blindBytes}},
	} {
		if *m.to, err = ebpf.NewMap(&m.spec); err != nil {
			return err
		}
	}
	for i := range shapes[:min(len(shapes), calls)] {
		if err := w.shapes.Put(uint32(i), &shapes[i]); err != nil {
			return err
		}
	}
	if err := o.locate(); err != nil {
		return err
	}
	o.threads, o.known, o.shapes, o.blind = w.threads.FD(), w.known.FD(), w.shapes.FD(), w.blind.FD()
	if w.program, err = load(watch(o)); err != nil {
		return err
	}
	if w.reader, err = ringbuf.NewReader(w.blind); err != nil {
		return err
	}
	w.reader.SetDeadline(time.Now()) // it never waits
	if w.ended, w.end, err = os.Pipe(); err != nil {
		return err
	}
	w.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sys_exit", Program: w.program})
	return err
}

// load loads a program. What it says of its licence is of this program alone, and what the
// kernel asks for: it may be used under the GPL too.
func load(list asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: list, License: "Dual MIT/GPL"})
}

// kernelOffsets asks the kernel where its structures have what is read.
func kernelOffsets() (*offsets, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, err
	}
	o := new(offsets)
	for _, f := range []struct {
		of, name string
		to       *int32
	}{
		{"task_struct", "thread_pid", &o.threadPID}, {"task_struct", "blocked", &o.blocked},
		{"pid", "level", &o.level}, {"pid", "numbers", &o.numbers}, {"upid", "ns", &o.namespaceOf},
	} {
		var s *btf.Struct
		if err := spec.TypeByName(f.of, &s); err != nil {
			return nil, err
		}
		found := false
		for _, m := range s.Members {
			if m.Name == f.name {
				*f.to, found = int32(m.Offset.Bytes()), true
			}
		}
		if !found {
			return nil, fmt.Errorf("struct %s has no %s", f.of, f.name)
		}
		if f.of == "upid" {
			o.upid = int32(s.Size)
		}
	}
	if o.upid != 16 {
		return nil, fmt.Errorf("struct upid has %d bytes", o.upid)
	}
	return o, nil
}

// locate finds the process number namespace of this process, by which the kernel numbers its threads.
func (o *offsets) locate() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	p, err := load(whereabouts(o, m.FD()))
	if err != nil {
		return err
	}
	defer p.Close()
	if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
		return err
	}
	var here [2]uint64
	if err := m.Lookup(uint32(0), &here); err != nil {
		return err
	}
	if here[1] == 0 || here[0] > 32 {
		return fmt.Errorf("the kernel's namespaces are not where it says (%d, %#x)", here[0], here[1])
	}
	o.depth, o.namespace = int32(here[0]), here[1]
	return nil
}

// Close ends it: every thread's calls pass. It waits for news to return.
func (w *Office) Close() {
	if w.link != nil {
		_ = w.link.Close()
	}
	if w.end != nil {
		_ = w.end.Close()
	}
	if w.gone != nil {
		<-w.gone
	}
	if w.ended != nil {
		_ = w.ended.Close()
	}
	if w.reader != nil {
		_ = w.reader.Close()
	}
	if w.program != nil {
		_ = w.program.Close()
	}
	for _, m := range []*ebpf.Map{w.threads, w.known, w.shapes, w.blind} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// Signals are those that stop a thread whose program handles the signals of the other set. One that handles
// nearly all is of Go, whose runtime means by SIGURG what does no harm.
func Signals(handled uint64) (set uint64) {
	if bits.OnesCount64(handled) >= allButFew {
		return Bit(unix.SIGURG)
	}
	for _, s := range signals {
		set |= Bit(s) &^ handled
	}
	return set
}

const allButFew = 48 // of 64 signals

// Let puts a thread on parole: one of this process, in whose name keys were made known.
func (w *Office) Let(tid int, t *Thread) error {
	t.TID = uint64(tid)
	return w.threads.Put(uint32(tid), t)
}

// Take gives what is pending of a thread, and takes it away.
func (w *Office) Take(tid int) (t Thread, ok bool) {
	if err := w.threads.Lookup(uint32(tid), &t); err != nil {
		return t, false
	}
	if t.Pending != 0 {
		done := t
		done.Pending = 0
		_ = w.threads.Put(uint32(tid), &done)
	}
	return t, true
}

// Revoke ends the parole of a thread.
func (w *Office) Revoke(tid int) { _ = w.threads.Delete(uint32(tid)) }

// Know makes calls with a key known.
func (w *Office) Know(k *Key) bool { return w.known.Update(k, uint64(0), ebpf.UpdateNoExist) == nil }

// Forget gives how many calls had a key that was known, which it is no more.
func (w *Office) Forget(k *Key) (n uint64) {
	_ = w.known.LookupAndDelete(k, &n)
	return n
}

// wait waits until there is something for Unstopped; false after Close.
func (w *Office) wait() bool {
	poll := []unix.PollFd{{Fd: int32(w.blind.FD()), Events: unix.POLLIN}, {Fd: int32(w.ended.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(poll, -1)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && poll[1].Revents == 0
		}
	}
}

// Unstopped gives the next call of a thread that no signal could stop, false where there is none.
func (w *Office) Unstopped() (t Thread, ok bool) {
	if w.reader.AvailableBytes() == 0 {
		return t, false
	}
	r, err := w.reader.Read()
	if err != nil {
		return t, false
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&t)), threadSize), r.RawSample)
	return t, true
}
