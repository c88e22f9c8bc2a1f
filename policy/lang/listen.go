package lang

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/policy/suggest"

	"github.com/hashicorp/hcl/v2"
)

// parseListen reads one listen address, with names of ports that stand at rng.
func (c *compiler) parseListen(s string, rng hcl.Range) (address.Listen, *badValue) {
	word, _, _ := strings.Cut(s, ":")
	l, err := spell.Parse(s, c.ports(transport(word), rng))
	var bad *spell.Error
	if !errors.As(err, &bad) {
		return l, nil
	}
	next := bad.Next
	if meant := meantListen(s); meant != "" {
		next = fmt.Sprintf("write %q", meant)
	} else if word, _, ok := strings.Cut(s, ":"); ok && !slices.Contains(spell.Networks(), word) {
		next = didYouMean(word, spell.Networks(), "")
	} else if i := strings.LastIndexByte(s, ':'); strings.HasPrefix(bad.Summary, "port ") {
		next = c.portNext(s[i+1:], next)
	}
	return l, &badValue{clip(bad.Summary), next}
}

// meantListen understands addresses as others write them: "127.0.0.1:79", "79/tcp", ":79",
// "finger", "tcp:79", "tcp://0.0.0.0:79", "/run/x.sock". "" is none of them.
func meantListen(s string) string {
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		return parsed("unix:" + s)
	}
	if network, rest, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(network, "unix") && !strings.HasPrefix(rest, "//") {
		if strings.HasPrefix(rest, "@") {
			return "" // abstract is what was meant, and what is wrong with it has its own advice
		}
		return parsed(network + ":" + path.Join("/", rest))
	}
	network, rest := "tcp", s
	for _, word := range spell.Networks() {
		for _, sep := range []string{"://", ":", "/"} {
			if after, ok := strings.CutPrefix(s, word+sep); ok && (word[0] == 't' || word[0] == 'u' && word[1] == 'd') {
				network, rest = word, after
				break
			}
		}
		if before, ok := strings.CutSuffix(rest, "/"+word); ok {
			network, rest = word, before
		}
	}
	host, port := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, port = strings.Trim(rest[:i], "[]"), rest[i+1:]
	}
	switch family := strings.TrimRight(network, "46"); {
	case host == "localhost":
		host = "127.0.0.1"
	case host == "*":
		host = ""
	case host == "0.0.0.0":
		network, host = family+"4", ""
	case host == "::":
		network, host = family+"6", ""
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return parsed(network + "://" + host + ":" + port)
}

// parsed is s if it can be listened on.
func parsed(s string) string {
	if _, err := spell.Parse(s, namedPort); err != nil {
		return ""
	}
	return s
}

func namedPort(s string) (uint16, bool) {
	port, ok := shippedPorts[s]
	return port, ok
}

// portHint is the next step for a port that is not known: the nearest name.
func portHint(s, next string) string {
	if w := suggest.Word(s, sortedKeys(shippedPorts)); w != "" && strings.Trim(s, "0123456789") != "" {
		return fmt.Sprintf("did you mean %q, or write its number", w)
	}
	return next
}
