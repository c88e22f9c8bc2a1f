package valid

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"casemate/listener/address"
	"casemate/policy"
)

const (
	maxQuote  = 512 // bytes of a quote with its line end (RFC 865)
	maxQuotes = 256
	maxUser   = 64 // bytes of the name that auth gives; RFC 1413 allows 512
)

// says checks what the built-ins say that have words of the policy.
func (c *checker) says(at string, s *policy.Service) {
	udp := slices.IndexFunc(s.Listen, func(l address.Listen) bool { return l.Datagram() })
	if s.Amplify && (s.Builtin != "qotd" || udp < 0) {
		c.add(at+".amplify", "remove amplify", "only qotd by udp has answers that may be longer than what they answer")
	}
	switch s.Builtin {
	case "qotd":
		if len(s.Says) == 0 {
			c.add(at+".says", `write says = ["..."] in its service block`, "qotd has no quote to send")
		}
		between(c, at+".says", len(s.Says), 0, maxQuotes)
		for i, q := range s.Says {
			c.quote(fmt.Sprintf("%s.says.%d", at, i), q)
		}
	case "auth":
		if udp >= 0 {
			c.add(fmt.Sprintf("%s.listen.%d", at, udp), "listen on tcp", "auth is not served by udp")
		}
		if len(s.Says) > 1 {
			c.add(at+".says", "write one name, or remove says", "auth gives one name, not %d", len(s.Says))
		}
		for i, name := range s.Says {
			if len(name) > maxUser || !named(name, maxUser, letters+digits+"_-.[]{}^~", "") {
				c.add(fmt.Sprintf("%s.says.%d", at, i), "use at most 64 letters, digits, _, - and .", "%q is no name that auth can give", name)
			}
		}
	default:
		if len(s.Says) > 0 {
			c.add(at+".says", "remove says", "only the built-ins qotd and auth say something of the policy's")
		}
	}
}

// quote checks one quote as it is sent.
func (c *checker) quote(at, q string) {
	text, ended := strings.CutSuffix(q, "\r\n")
	strange := strings.ContainsFunc(strings.ReplaceAll(text, "\r\n", ""), func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) })
	switch {
	case !ended || strange:
		c.add(at, "write text, with \\n between its lines", "a quote holds characters that are no text")
	case text == "":
		c.add(at, "write something, or remove it", "a quote is empty")
	case len(q) > maxQuote:
		c.add(at, "shorten it", "a quote of %d bytes with its line ends is longer than the %d of RFC 865", len(q), maxQuote)
	}
}
