package acl

// Evadable reports whether a client can get on the better side of r by having
// no confirmed name, which is in its own hands: whoever runs a reverse zone can
// empty it. That is so for a deny rule that names hosts or domains, and for an
// allow rule that excepts them, unless the same patterns also hold unknown and
// paranoid (or every address), or the rule admits nobody without a name anyway.
// An evadable rule keeps out the honest alone.
func (r *Rule) Evadable() bool {
	patterns := r.From
	if r.Verdict == Allow {
		from := collect(r.From)
		if !from.any && from.prefixes == nil && !from.unknown && !from.paranoid {
			return false
		}
		patterns = r.Except
	}
	s := collect(patterns)
	named := s.known || len(s.hosts) > 0 || len(s.domains) > 0
	return named && !s.any && !(s.unknown && s.paranoid)
}

// collect is the set of the patterns that are valid.
func collect(patterns []Pattern) set {
	var s set
	for _, text := range patterns {
		if p, err := parse(string(text)); err == nil {
			s.addOne(p)
		}
	}
	return s
}
