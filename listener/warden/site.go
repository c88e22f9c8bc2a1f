package warden

import (
	"sync"

	"casemate/listener/host"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
)

// Site is a document on this host, as the host was when it was looked at: each file once. One goroutine at a time uses it.
// All of it blocks.
type Site struct {
	w        *Warden
	doc      *policy.Document
	stamps   stamps
	accounts *host.Accounts
	tasks    userTasks
	writable func() []hostpath.ID // what its services may write
	trees    *sandbox.Trees
}

// Site begins to look at the host for a document that Compile gave.
func (w *Warden) Site(doc *policy.Document) *Site {
	return &Site{w: w, doc: doc, stamps: make(stamps), writable: sync.OnceValue(doc.Policy.Writable), trees: new(sandbox.Trees)}
}

// Close gives back what the sandboxes that were made have in common.
func (s *Site) Close() { s.trees.Close() }

// Found is what a service comes to on this host.
type Found struct {
	Sockets []Socket
	UID     uint32 // what its programs run as, unless that is leased
	Dynamic bool
	Outputs uint8  // how many of stderr and stdout are pipes to the log worker
	Key     string // names what its sandbox is made from: of equal keys one is enough
	Files   string // the stamp of its files alone
	Stamp   string // see Stamp
	Job     *Job
}

// Stamp differs when what the service is made from has become another one.
func (s *Site) Stamp(of *policy.Service) string {
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
func (s *Site) Find(of *policy.Service) (f Found, err error) {
	defer func() { err = Place(s.doc, of, err) }()
	if f.Sockets, err = sockets(s.accounts, of); err != nil {
		return f, err
	}
	if f.Job, err = s.w.newJob(s.doc, of, s.accounts, s.tasks, len(f.Sockets)); err != nil {
		return f, err
	}
	f.Job.spec, f.Job.site, f.UID, f.Dynamic, f.Outputs = of, s, f.Job.UID, f.Job.Dynamic, f.Job.Outputs
	f.Files, f.Stamp = s.w.stamp(s.stamps, s.doc.Policy, of)
	f.Key, err = f.Job.key(f.Files + s.stamps.writable(s.doc.Policy))
	return f, err
}
