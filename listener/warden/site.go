package warden

import (
	"sync"

	"casemate/listener/host"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
)

// Site is a document on this host, as the host was when it was looked at: each file once. One goroutine at a time uses it.
// All of it blocks.
type Site struct {
	w        *Warden
	doc      *granted.Document
	stamps   stamps
	accounts *host.Accounts
	tasks    map[uint32]int64
	writable func() []hostpath.ID // what its services may write
	trees    *sandbox.Trees
}

// Site begins to look at the host for a document that Compile gave.
func (w *Warden) Site(doc *granted.Document) *Site {
	return &Site{w: w, doc: doc, stamps: make(stamps), writable: sync.OnceValue(doc.Policy.Writable), trees: new(sandbox.Trees)}
}

// Close gives back what the sandboxes that were made have in common.
func (s *Site) Close() { s.trees.Close() }

// Found is what a service comes to on this host.
type Found struct {
	Sockets []granted.Socket
	UID     uint32 // what its programs run as, unless that is leased
	Dynamic bool
	Outputs uint8  // how many of stderr and stdout are pipes to the log worker
	Key     string // names what its sandbox is made from: of equal keys one is enough
	Files   string // the stamp of its files alone
	Stamp   string // see Stamp
	Job     *Job
}

// Stamp differs when what the service is made from has become another one.
func (s *Site) Stamp(of *granted.Service) string {
	_, all := s.w.stamp(s.stamps, s.doc.Policy, of)
	return all
}

// Read reads the host's users and groups, once.
func (s *Site) Read() (err error) {
	if s.accounts == nil {
		s.stamps.of(accountFiles...) // before they are read: what changes meanwhile is noticed later
		if s.accounts, err = host.ReadAccounts(); err == nil {
			s.tasks = countTasks(s.doc.Policy, s.accounts)
		}
	}
	return err
}

// Find looks up what the service names on this host, after Read. With an error what was found before is there.
func (s *Site) Find(of *granted.Service) (f Found, err error) {
	if f.Sockets, err = sockets(s.accounts, of); err != nil {
		return f, err
	}
	if f.Job, err = s.newJob(of); err != nil {
		return f, err
	}
	f.UID, f.Dynamic, f.Outputs = f.Job.UID, f.Job.Dynamic, f.Job.Outputs
	f.Files, f.Stamp = s.w.stamp(s.stamps, s.doc.Policy, of)
	f.Key, err = f.Job.key(f.Files + s.stamps.writable(s.doc.Policy))
	return f, err
}
