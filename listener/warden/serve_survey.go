package warden

import (
	"maps"
	"runtime/debug"
	"slices"

	"casemate/listener"
	"casemate/policy/granted"
)

// How much garbage is let be (debug.SetGCPercent).
const (
	// GCPercent is what casemated begins with: its live heap is a few megabytes, and a collection
	// of it costs less than the memory it would save up for.
	GCPercent = 50
	// loadGC is for a load, whose document stays for the most part: what does not goes all at once at the end.
	loadGC = 200
)

// maxSites is how many a broker may have at a time, of which it needs one for a load or a look.
const maxSites = 16

// document has a policy compiled, and notes what is in force.
func (b *Broker) document(q Asked) (a Answer, give []int, err error) {
	switch q.Do {
	case DoPast:
		a.Past, err = b.w.Past()
		return a, nil, err
	case DoRecall:
		files, err := b.w.Recall(q.Digest)
		if err != nil {
			return a, nil, err
		}
		fd, err := FileOf(files[0].Data)
		return a, []int{fd}, err
	case DoCompile:
		return b.compiled(q)
	}
	if q.Do != DoSite { // a load is over, and what it took goes back to the system at once
		defer debug.FreeOSMemory()
		debug.SetGCPercent(GCPercent)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	doc := b.docs[q.Digest]
	switch {
	case q.Do == DoForget:
		b.w.Forget()
	case doc == nil, q.Do == DoSite && len(b.sites) == maxSites, q.Do == DoForce && !granted.ValidName(q.Name):
		err = errStrange
	case q.Do == DoSite:
		a.Number = b.number()
		b.sites[a.Number] = &surveyed{Site: b.w.Site(doc), programs: doc.Policy.All(), jobs: make(map[int]*Job)}
	default:
		b.force = doc
		b.w.InForce(doc, Cause{q.Name, q.UID})
		old := func(digest string) bool { return digest != q.Digest && digest != b.newest }
		maps.DeleteFunc(b.docs, func(digest string, _ *granted.Document) bool { return old(digest) })
		maps.DeleteFunc(b.specs, func(digest string, _ map[listener.Spec]bool) bool { return old(digest) })
		for key, s := range b.left { // nobody has asked for it
			_ = s.Close()
			delete(b.left, key)
		}
	}
	return a, nil, err
}

// compiled has it compiled, or what ran before checked, and gives it unless it is in force already.
func (b *Broker) compiled(q Asked) (a Answer, give []int, err error) {
	debug.SetGCPercent(loadGC)
	b.mu.Lock()
	doc, err := b.resume, error(nil)
	if b.resume = nil; q.Digest != "" {
		b.resume, doc = doc, nil
	}
	b.mu.Unlock()
	if doc == nil {
		if doc, a.Diagnostics, err = b.w.Compile(q.Digest); err != nil {
			return a, nil, err
		}
	}
	b.mu.Lock()
	a.Same = doc == b.force
	b.docs[doc.Digest], b.newest = doc, doc.Digest
	b.mu.Unlock()
	if a.Same {
		return a, nil, nil
	}
	fd, err := FileOf(doc.Text)
	return a, []int{fd}, err
}

// survey looks what a service is on this host.
func (b *Broker) survey(q Asked) (a Answer, err error) {
	b.mu.Lock()
	site := b.sites[q.Number]
	if q.Do == DoLeaveSite {
		delete(b.sites, q.Number)
	}
	b.mu.Unlock()
	if site == nil {
		return a, errStrange
	}
	site.Lock()
	defer site.Unlock()
	switch {
	case q.Do == DoRead && site.accounts != nil: // once is enough, and lists all of the document
	case q.Do == DoRead:
		if err = site.Read(); err == nil {
			b.list(site)
		}
	case q.Do == DoLeaveSite:
		site.Close()
		site.programs, site.jobs = nil, nil // for who waits for its lock: what is made of it now would share trees with nobody, for ever
	case slices.ContainsFunc(q.Services, func(n int) bool { return n < 0 || n >= len(site.programs) }):
		err = errStrange
	case q.Do == DoStamp:
		for _, n := range q.Services {
			a.Stamps = append(a.Stamps, site.Stamp(site.programs[n]))
		}
	case site.accounts == nil:
		err = errStrange
	default:
		for _, n := range q.Services {
			f, err := site.Find(site.programs[n])
			if f.Job != nil {
				site.jobs[n] = f.Job
			}
			f.Job = nil
			a.Found = append(a.Found, Finding{f, NewFault(err)})
		}
	}
	return a, err
}

// list notes what a document listens on, all of it: what has not changed is not looked up anew.
func (b *Broker) list(site *surveyed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.specs[site.doc.Digest] == nil {
		b.specs[site.doc.Digest] = make(map[listener.Spec]bool)
	}
	for _, s := range site.programs {
		of, _ := sockets(site.accounts, s) // Find tells what is at fault
		for _, at := range of {
			b.specs[site.doc.Digest][at.Spec] = true
		}
	}
}
