package filter

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// msgFastopen is MSG_FASTOPEN (linux/socket.h). With it a send connects its
// socket to the address it names, a listener after shutdown(2) too, and neither
// a rule on connect nor Landlock sees that.
const msgFastopen = 0x20000000

// sends are the calls that take MSG_ flags to send by, with the argument that holds them.
var sends = map[int]uint{unix.SYS_SENDTO: 3, unix.SYS_SENDMSG: 2, unix.SYS_SENDMMSG: 3}

// pin gives the rule with MSG_FASTOPEN ruled out. Normalize pins every rule, so
// that no filter lets it through, whoever wrote the rule: who wants TCP Fast Open
// sets TCP_FASTOPEN_CONNECT and connects.
func (r Rule) pin() (Rule, error) {
	index, ok := sends[r.Call]
	if !ok {
		return r, nil
	}
	for i := range r.Args {
		a := &r.Args[i]
		if a.Index != index {
			continue
		}
		if a.Bits()&a.Value&msgFastopen != 0 {
			return r, fmt.Errorf("MSG_FASTOPEN (%#x) connects past every rule on connect: allow connect in place of it", msgFastopen)
		}
		if a.Mask != 0 {
			a.Mask |= msgFastopen
		}
		return r, nil
	}
	r.Args = append(r.Args, Arg{Index: index, Mask: msgFastopen})
	return r, nil
}
