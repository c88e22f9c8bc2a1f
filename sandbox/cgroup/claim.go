package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// leafName is the group that this process moves into, below the one that is its own.
const leafName = "broker"

// Claim finds the group below which this process may make others and, unless it
// is the root, moves the process into a leaf of it: a group with processes cannot
// hand controllers on. It belongs before the first child, which would stay behind.
// The answer is the same for as long as the process lives.
//
// ErrUnavailable says that there is no such group, and why.
var Claim = sync.OnceValues(func() (Hierarchy, error) {
	s, err := look()
	if err != nil {
		return Hierarchy{}, err
	}
	h, err := s.find()
	if err == nil && h.leaf {
		err = h.settle()
	}
	return h, err
})

// settle moves this process into the leaf.
func (h Hierarchy) settle() error {
	leaf := filepath.Join(h.Path, leafName)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err) // read-only, as in most containers
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return fmt.Errorf("%w: move into %s: %w", ErrUnavailable, leaf, err)
	}
	return nil
}
