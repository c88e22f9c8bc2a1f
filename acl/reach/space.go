package reach

import (
	"slices"

	"casemate/acl"
	"casemate/acl/decide"
)

// clause is what is left of a rule where the client's address or number is known.
type clause struct {
	rule    int // its index, -1 where only what it does counts
	verdict acl.Verdict
	does    string // what else than the verdict a client gets of it
	sure    bool   // from holds by the address or number, else by from's names alone
	from    *names
	except  *names
	to      Set // nil is anywhere
	during  []acl.Span
	zone    *acl.Zone
}

// always tells whether the clause matches under all circumstances.
func (c *clause) always() bool {
	return c.sure && c.except == nil && c.to == nil && len(c.during) == 0
}

// names are patterns about names.
type names struct {
	known, unknown, paranoid bool
	hosts, domains           map[string]struct{}
}

// matches is whether one of the patterns matches n, and whether that is known.
func (s *names) matches(n decide.Name) (match, known bool) {
	switch n.State {
	case decide.Known:
		return s.known || s.matchHost(n.Host), true
	case decide.Unknown:
		return s.unknown, true
	case decide.Paranoid:
		return s.paranoid, true
	}
	return false, false
}

func (s *names) matchHost(host string) bool {
	if _, ok := s.hosts[host]; ok {
		return true
	}
	for i := 1; i < len(host) && len(s.domains) > 0; i++ {
		if host[i] == '.' {
			if _, ok := s.domains[host[i:]]; ok {
				return true
			}
		}
	}
	return false
}

// nodeID is a row of clauses that are tried one after the other, 0 the empty one.
type nodeID int32

// node is a clause, or two rows of which the second is tried where nothing of the first matches.
type node struct {
	clause      *clause
	left, right nodeID
	closed      bool // some clause of it always matches, and is the last
	size        int  // how many clauses
}

// space holds rows, each once, so that they are the same where their numbers are. It is for one goroutine.
type space struct {
	nodes []node
	pairs map[[2]nodeID]nodeID
	words map[string]nodeID // of clauses
}

func newSpace() *space {
	return &space{nodes: make([]node, 1), pairs: map[[2]nodeID]nodeID{}, words: map[string]nodeID{}}
}

func (s *space) leaf(c *clause) nodeID {
	s.nodes = append(s.nodes, node{clause: c, closed: c.always(), size: 1})
	return nodeID(len(s.nodes) - 1)
}

// join is a row and, behind it, another.
func (s *space) join(a, b nodeID) nodeID {
	switch {
	case a == 0:
		return b
	case b == 0 || s.nodes[a].closed:
		return a
	}
	id, ok := s.pairs[[2]nodeID{a, b}]
	if !ok {
		id = nodeID(len(s.nodes))
		s.nodes = append(s.nodes, node{left: a, right: b, closed: s.nodes[b].closed, size: s.nodes[a].size + s.nodes[b].size})
		s.pairs[[2]nodeID{a, b}] = id
	}
	return id
}

// row gives the clauses of a row in their order.
func (s *space) row(id nodeID) []*clause {
	out := make([]*clause, 0, s.nodes[id].size)
	for rest := []nodeID{id}; len(rest) > 0; {
		n := &s.nodes[rest[len(rest)-1]]
		rest = rest[:len(rest)-1]
		switch {
		case n.clause != nil:
			out = append(out, n.clause)
		case n.size > 0:
			rest = append(rest, n.right, n.left)
		}
	}
	return slices.Clip(out)
}
