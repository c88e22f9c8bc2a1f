package seccomp

import "fmt"

// msgFastopen is MSG_FASTOPEN (linux/socket.h). With it a send connects its
// socket to the address it names, a listener after shutdown(2) too, and neither
// a rule on connect nor Landlock sees that.
const msgFastopen = 0x20000000

// sends are the calls that take MSG_ flags to send by, with the argument that holds them.
var sends = map[string]uint{"sendto": 3, "sendmsg": 2, "sendmmsg": 3}

// pin gives the rule with MSG_FASTOPEN ruled out. Normalize pins every rule, so
// that no filter lets it through, whoever wrote the rule: who wants TCP Fast Open
// sets TCP_FASTOPEN_CONNECT and connects.
func (r Rule) pin() (Rule, error) {
	index, ok := sends[r.Name]
	if !ok {
		return r, nil
	}
	for i := range r.Args {
		a := &r.Args[i]
		if a.Index != index {
			continue
		}
		if a.mask()&a.Value&msgFastopen != 0 {
			return r, fmt.Errorf("rule %s: MSG_FASTOPEN (%#x) connects past every rule on connect: allow connect in place of it", r, msgFastopen)
		}
		if a.Mask != 0 {
			a.Mask |= msgFastopen
		}
		return r, nil
	}
	r.Args = append(r.Args, Arg{Index: index, Mask: msgFastopen})
	return r, nil
}
