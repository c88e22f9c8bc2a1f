package main

// result is one row of the table at the end of a run, and one object of its JSON: what was
// compared, how it came out, and what it is held to.
type result struct {
	Work string `json:"work"`
	Unit string `json:"unit"` // of ours, of the peers' and of the floor
	// Ours is casemate's figure: where rounds were made, their median.
	Ours float64 `json:"ours"`
	// Peers are those that were asked for the same, in the order in which they were.
	Peers []figure `json:"peers,omitempty"`
	// Floor is the least that the same can cost, in a C program; nil where none was measured.
	Floor *float64 `json:"floor,omitempty"`
	// Ratio is that of ours to the figure of Against, told from the rounds' own ratios; nil where nothing is compared.
	Ratio   *estimate `json:"ratio,omitempty"`
	Against string    `json:"against,omitempty"`
	// Aim is held against the ratio, or against ours where there is none.
	Aim *aim `json:"aim,omitempty"`
	// Brief rows stand in the README too.
	Brief bool `json:"brief,omitempty"`
}

// figure is what somebody came to.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// aim is a bound that is itself allowed; one of the two is there.
type aim struct {
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`
}

func atLeast(v float64) *aim { return &aim{Least: &v} }
func atMost(v float64) *aim  { return &aim{Most: &v} }

// met tells whether the row is as it should be, and whether it is held to anything.
func (r result) met() (met, held bool) {
	if r.Aim == nil {
		return false, false
	}
	got := r.Ours
	if r.Ratio != nil {
		got = r.Ratio.Ratio
	}
	// Written so that what is not a number is not met.
	return (r.Aim.Least == nil || got >= *r.Aim.Least) && (r.Aim.Most == nil || got <= *r.Aim.Most), true
}

// doubtful tells whether the bound lies within the spread: another run may come out otherwise.
func (r result) doubtful() bool {
	if r.Aim == nil || r.Ratio == nil {
		return false
	}
	inside := func(bound *float64) bool { return bound != nil && r.Ratio.Low < *bound && *bound < r.Ratio.High }
	return inside(r.Aim.Least) || inside(r.Aim.Most)
}

// to is the row with its figure compared to one of those that it holds.
func (r result) to(against string, ratio estimate, held *aim) result {
	r.Against, r.Ratio, r.Aim = against, &ratio, held
	return r
}

// briefly is the row as one of the README's.
func (r result) briefly() result {
	r.Brief = true
	return r
}

// results are the rows of a run in the order in which they were measured.
type results []result

func (rs *results) add(r ...result) { *rs = append(*rs, r...) }

// missed are the rows that are held to something which they are not.
func (rs results) missed() (out results) {
	for _, r := range rs {
		if met, held := r.met(); held && !met {
			out = append(out, r)
		}
	}
	return out
}
