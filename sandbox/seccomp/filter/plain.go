package filter

import "fmt"

// parts are what a program is made of: its front, which answers first, the rules that its body allows, and those
// of calls that seem not to exist; all else is a violation.
type parts struct {
	front         []instruction
	allowed, soft []Rule
	violation     uint32
}

func (f Filter) parts() (p parts, err error) {
	rules, err := Normalize(f.Rules)
	if err != nil {
		return p, fmt.Errorf("compile filter: %w", err)
	}
	ahead, err := Normalize(f.Ahead)
	if err != nil {
		return p, fmt.Errorf("compile filter: %w", err)
	}
	var ok bool
	if p.violation, ok = violations[f.OnViolation]; !ok {
		return p, fmt.Errorf("compile filter: on_violation %q: write %q or %q", f.OnViolation, Errno, Kill)
	}
	var probed []Rule
	probed, p.allowed, p.soft = split(rules)
	p.front = stub(probed, rules, p.violation, !f.Init)
	if f.Once {
		p.front = append(p.front, once(p.violation)...)
	}
	for _, own := range calls(ahead) {
		p.front = append(p.front, decide(own, retAllow, nil)...)
	}
	return p, nil
}

// Plain gives a program with the answers of Compile's, which looks at one call after the other and may be longer than
// the kernel takes: it is for who asks a filter, in a program built without libseccomp, and installs none.
func (f Filter) Plain() ([]byte, error) {
	p, err := f.parts()
	if err != nil {
		return nil, err
	}
	prog := p.front
	for _, own := range calls(p.allowed) {
		prog = append(prog, decide(own, retAllow, []instruction{{opRet, 0, 0, p.violation}})...)
	}
	for _, r := range p.soft {
		prog = append(prog, decide([]Rule{r}, answer(r.Call), nil)...)
	}
	return encode(append(prog, instruction{opRet, 0, 0, p.violation})), nil
}
