package builtin

import (
	"math/rand/v2"
	"time"
)

// qotd sends one of the policy's quotes (RFC 865), each time any of them.
func qotd(c *Config) protocol {
	fixed := 0
	if c.Amplify {
		fixed = maxReply
	}
	return protocol{
		fixed:   fixed,
		opening: func(out []byte, _ time.Time) []byte { return append(out, c.Says[rand.N(len(c.Says))]...) },
		// What the datagram holds is ignored. Its length is not, unless the policy says so: a
		// short request with a forged source would buy that source a long answer.
		datagram: func(req, out []byte, _ time.Time) ([]byte, bool) {
			first := rand.N(len(c.Says))
			for i := range c.Says {
				if q := c.Says[(first+i)%len(c.Says)]; c.Amplify || len(q) <= len(req) {
					return append(out[:0], q...), true
				}
			}
			return nil, false
		},
	}
}
