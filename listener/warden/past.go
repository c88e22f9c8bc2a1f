package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// How many documents that ran are kept, and of how many bytes in all: the oldest go first.
const (
	maxPast      = 64
	maxPastBytes = 64 << 20
)

// past keeps the documents that were in force, so that one can be again: a file of root's for each, which outlives the broker
// and casemated.
type past struct {
	dir    string // "" keeps none
	writes sync.Mutex
	mu     sync.Mutex        // of what follows
	doc    *granted.Document // in force
	name   string            // of its file, without the number in front
}

// Cause is why a document is in force: a word, and the uid of who has asked for it, listener.KeepID for nobody.
type Cause struct {
	How string
	UID uint32
}

// Words of a Cause that mean something here.
const (
	Start    = "start"    // of a broker
	Rollback = "rollback" // to what ran before
)

// Kept is a document that is kept, with when it was known to run last.
type Kept struct {
	Name string // NUMBER-UNIXTIME-HOW-UID-SERVICES-DIGEST.json
	Seen time.Time
	Size int64
}

// InForce is Hands'. It does not wait for a disk.
func (w *Warden) InForce(doc *granted.Document, c Cause) {
	p := &w.past
	p.mu.Lock()
	defer p.mu.Unlock()
	// The first load of a broker that follows another one is no other cause: what runs goes on.
	again := c.How == Start || strings.Contains(p.name, rolledBack) == (c.How == Rollback)
	if p.doc == nil || p.doc.Digest != doc.Digest || !again {
		p.doc, p.name = doc, fmt.Sprintf("-%d-%s-%d-%d%s", time.Now().Unix(), c.How, c.UID, len(doc.Policy.Services), pastName(doc.Digest))
	}
}

// rolledBack is in the names of files of documents that somebody has rolled back to.
const rolledBack = "-" + Rollback + "-"

// pastName is how the names of files of that digest end.
func pastName(digest string) string { return "-" + strings.TrimPrefix(digest, "sha256:") + ".json" }

// Past is Hands'.
func (w *Warden) Past() ([]Kept, error) {
	p := &w.past
	if p.dir == "" {
		return nil, nil
	}
	p.mu.Lock()
	doc, name := p.doc, p.name
	p.mu.Unlock()
	return hostpath.Within(p.dir, func() ([]Kept, error) { return p.keep(doc, name) })
}

// keep writes doc, unless it is the newest there, and lists all.
func (p *past) keep(doc *granted.Document, name string) (list []Kept, err error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	dir, err := hostpath.Make(p.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if list, err = p.list(); err != nil || doc == nil {
		return list, err
	}
	number := 0
	if n := len(list); n > 0 {
		newest := list[n-1].Name
		if strings.HasSuffix(newest, name) || strings.HasSuffix(newest, pastName(doc.Digest)) && !strings.Contains(newest+name, rolledBack) {
			return list, os.Chtimes(filepath.Join(p.dir, newest), time.Time{}, time.Now())
		}
		_, _ = fmt.Sscanf(newest, "%d-", &number)
	}
	if err = write(dir, fmt.Sprintf("%08d%s", number+1, name), doc); err != nil {
		return list, err
	}
	list, err = p.list()
	all := int64(0)
	for i := len(list) - 1; i >= 0; i-- {
		if all += list[i].Size; i < len(list)-1 && (len(list)-i > maxPast || all > maxPastBytes) {
			err = errors.Join(err, os.Remove(filepath.Join(p.dir, list[i].Name)))
			list = append(list[:i:i], list[i+1:]...)
		}
	}
	return list, err
}

// write makes the file, which is there whole or not at all. Nobody waits for the disk: what a host loses that loses its power does
// not have its digest any more.
func write(dir *hostpath.File, name string, doc *granted.Document) error {
	f, err := dir.Create(".new", unix.O_WRONLY|unix.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(doc.Text)
	_, end := f.WriteString("\n") // as casemate compile writes it, and signs it
	if err = errors.Join(err, end, f.Close()); err != nil {
		return err
	}
	return os.NewSyscallError("renameat", unix.Renameat(dir.FD, ".new", dir.FD, name))
}

// list is in the order of the numbers, which the names begin with.
func (p *past) list() (list []Kept, err error) {
	entries, err := os.ReadDir(p.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name()[0] != '.' && input.IsDocument(e.Name()) {
			list = append(list, Kept{e.Name(), info.ModTime(), info.Size()})
		}
	}
	return list, err
}

// Recall is Hands': the newest file of a document of that digest, as one of a policy.
func (w *Warden) Recall(digest string) ([]input.File, error) {
	list, err := hostpath.Within(w.past.dir, w.past.list)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	for i := len(list) - 1; i >= 0 && granted.ValidDigest(digest); i-- {
		if strings.HasSuffix(list[i].Name, pastName(digest)) {
			return input.ReadOwn(filepath.Join(w.past.dir, list[i].Name))
		}
	}
	return nil, fmt.Errorf("no policy of the digest %q is kept: casemate history lists those that are", digest)
}
