package report

// Against is what a change does, as casemate diff tells it.
type Against struct {
	Old     string   `json:"old"`    // the path, as it was named
	Digest  string   `json:"digest"` // of the old policy
	Summary string   `json:"summary"`
	Policy  []string `json:"policy,omitempty"` // what is other of the policy's own attributes
	Groups  []Group  `json:"groups"`           // the gravest first
}

// Group is services of which the same is to be said. Service is the one that is here, "" where none is.
type Group struct {
	Verdict    string      `json:"verdict"`
	Grave      bool        `json:"grave"` // it is more, or may be
	Names      []string    `json:"names"`
	More       int         `json:"more,omitempty"` // names that are left out
	Origin     string      `json:"origin,omitempty"`
	Dimensions []Dimension `json:"dimensions"`
}

// Dimension is one respect in which they are other. Again is a service of which the same has been said before.
type Dimension struct {
	Name  string   `json:"name"`
	By    string   `json:"by,omitempty"`
	Again string   `json:"again,omitempty"`
	Lines []Remark `json:"lines"`
	Calls []string `json:"calls,omitempty"` // system calls that prove that something is more
}

// Remark is one line: Sign is + for more, - for less, ~ for what is other and . for what grants nothing. Proof is
// commands that show it, Why what decides.
type Remark struct {
	Sign  string   `json:"sign"`
	Text  string   `json:"text"`
	Proof []string `json:"proof,omitempty"`
	Why   string   `json:"why,omitempty"`
}

// Word is what the sign says.
func (r *Remark) Word() string {
	switch r.Sign {
	case "+":
		return "more"
	case "-":
		return "less"
	case "~":
		return "other"
	}
	return "changed"
}
