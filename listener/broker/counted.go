package broker

import (
	"time"

	"casemate/acl"
	"casemate/acl/ban"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// counted is what the worker of a built-in has said of its clients, whom nobody else
// sees.
type counted struct {
	last  wire.Counts
	tally *tally
	over  bool   // the worker has ended, and with it all of its clients
	said  int    // the file in which it reads what operators say, -1 = none
	heard uint64 // the version of that which stands there
	// These are as wire.Said has them.
	narrowed uint64
	admits   *acl.List
	leave    bool
}

// wordsIn is how many windows of a surge a word is about: the worker says one in a second.
const wordsIn = int(time.Second / surgeWindow)

// add takes the worker's newest word. It counts from its own start, so a word that
// was lost is made up for by the next; one that counts back is not believed.
func (c *counted) add(n *wire.Counts) {
	if c.over {
		n[wire.CountLive] = 0
	}
	for i := wire.CountAdmitted; i < len(n); i++ {
		if n[i] < c.last[i] {
			return
		}
	}
	t := c.tally
	t.clients += int(n[wire.CountLive] - c.last[wire.CountLive])
	t.mostClients = max(t.mostClients, t.clients, int(n[wire.CountPeak]))
	t.admitted += n[wire.CountAdmitted] - c.last[wire.CountAdmitted]
	for i, reason := range wire.Reasons {
		if more := n[wire.CountRefused+i] - c.last[wire.CountRefused+i]; more > 0 {
			t.refuse(reason, more)
			if reason == reasonRules || reason == ban.ReasonBan { // of the sources that its limits shut out the kernel is not told
				t.shield.surges(reason, int(more), wordsIn)
			}
		}
	}
	for i, reason := range wire.Ends {
		if more := n[wire.CountEnded+i] - c.last[wire.CountEnded+i]; more > 0 {
			count(&t.endedBy, reason, more)
		}
	}
	c.last = *n
}

// forget closes the worker's file. It may be called on nil.
func (c *counted) forget() {
	if c != nil && c.said >= 0 {
		unix.Close(c.said)
		c.said = -1
	}
}

// end is called when the worker has ended.
func (c *counted) end() {
	c.over = true
	n := c.last
	c.add(&n)
}
