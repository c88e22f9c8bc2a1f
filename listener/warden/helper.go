package warden

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Helper is what casemate-worker does for casemated itself, in a sandbox of its own.
type Helper struct {
	w  *Warden
	mu sync.Mutex
	// Prepare makes its sandbox; another one for tests.
	Prepare func() (Cell, error)
	paths   []string
	cell    Cell
	made    string // the stamp of cell
}

// Helper is the role of casemate-worker of that name.
func (w *Warden) Helper(name string) *Helper {
	p := roles[name]()
	return &Helper{w: w, paths: slices.Concat(p.Files.Read, []string{w.libexec("casemate-worker")}),
		Prepare: func() (Cell, error) { return w.helperCell(p, "casemate-worker", name) }}
}

// Stamp differs when its program or a file of its profile has become another one. It blocks.
func (h *Helper) Stamp() string { return make(stamps).of(h.paths...) }

// Made is the Stamp of what it was started from last.
func (h *Helper) Made() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made
}

// Start starts it as a leased uid, at the other end of the socket fd. It blocks. losses says, once for a sandbox, what
// of it this host cannot give. The sandbox is made on the first start, and when its program or a file of its profile
// has become another one since.
func (h *Helper) Start() (pid, fd int, losses []string, err error) {
	uid, err := h.w.lease()
	if err != nil {
		return 0, -1, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Stamp()
	if h.cell != nil && h.made != now {
		_ = h.cell.Close() // its descriptors are gone either way
		h.cell = nil
	}
	if h.cell == nil {
		c, err := h.Prepare()
		if err != nil {
			return 0, -1, nil, err
		}
		h.cell, h.made, losses = c, now, c.Losses()
	}
	pid, fd, err = h.w.Link(h.cell, uid, unix.SOCK_SEQPACKET)
	return pid, fd, losses, err
}
