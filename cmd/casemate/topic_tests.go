package main

import (
	"fmt"
	"strings"

	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// testsTopic is `casemate help policy-tests`: the language of the tests of a policy.
func (a *app) testsTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "policy-tests",
		Short: "The language of the tests of a policy",
	}
}

// testsPage is the page: the rows of the language's attributes and objects, with what the rows do not say.
func testsPage() string {
	var b strings.Builder
	b.WriteString(testsIntro)
	for i, block := range lang.TestReference() {
		writeBlock(&b, "  ", &block)
		b.WriteString(testsNotes[i])
	}
	for _, o := range lang.Model() {
		fmt.Fprintf(&b, "\n  of %s\n", map[string]string{"service": "a service", "acl": "its acl", "limit": "its limit", "profile": "its profile"}[o.Name])
		for _, m := range o.Members {
			b.WriteString(strings.TrimRight(fmt.Sprintf("    %-14s  %s", m.Name, m.Doc), " ") + "\n")
		}
	}
	b.WriteString(testsEnd)
	return b.String()
}

const testsIntro = `Tests of a policy stand in files *.cmtest.hcl beside it, which check, compile and casemated
leave alone, and of which its digest knows nothing. casemate test runs them.

  case "the world cannot reach finger" {
    service = service.finger
    client  = ["198.51.100.7", "2001:db8:ffff::1"]
    name    = "unknown"
    expect  = "deny"
    matched = acl.office.default
    reason  = "acl"
  }

  case "a burst of one source" {
    service = service.echo
    client  = "192.0.2.7"
    arrive {
      count  = 10
      within = "1s"
    }
    allowed = 3
    reason  = "source-rate"
  }

  invariant "nobody from that network" {
    never = reach(service.*, "198.51.100.0/24")
  }

`

// testsNotes stand below the blocks, in their order.
var testsNotes = []string{`
Each client of a case without arrive comes alone, to counters that know nobody. The blocks
arrive follow each other on one clock, which no waiting moves; what one does not say of
its clients is as in the case. An assertion in an arrive is about its clients, one in the case about
all of them. A case about several services is run for each, by itself. Sessions that are over have
left before the next client comes at the same time, and those in the queue go on until each is
served or refused. expect and reason are what becomes of the client in the end: the rules
are asked first, then the limits. A client whom the rules would let in and who comes to no
address of the service (another family, another local address, from elsewhere to a loopback
address) is denied, with the reason listener. A case about service.* of a policy that serves
nothing fails.

Nobody asks for the names of the clients of a built-in, of a service with wait and of
datagrams: rules by name go against them. A service with wait hands its socket to a program, and
no limit counts its clients: it has no arrive.

`, `
reach(SERVICES, NETWORKS) is exact: it computes with sets of addresses, over each name that the rules
mention and any other, each local address and each time, and names a client for whom it does not
hold. SERVICES are service.NAME, service.* or a list of them, NETWORKS addresses, prefixes, "any"
or lists of them. Whom a service does not listen for (its sockets are of the other family, or it is
disabled) it does not admit.

A condition is an expression: and (&&), or (||), not (!), comparisons, + - * / %, a ? b : c, lists, objects, x[0],
x["key"] and loops: [for s in services : s.name if s.root], { for s in services : s.name => s.user }.
Numbers are whole; durations are in milliseconds and sizes in bytes: duration("10m"), size("64MiB").
One that cannot be evaluated is a test that has failed.

Functions: alltrue, anytrue, contains, length, keys, startswith, endswith, strcontains, cidrcontains(NETWORKS,
NETWORKS) and cidroverlaps, duration, size, reach(SERVICE, NETWORKS), and those of policies: concat, distinct,
setintersection, setsubtract, setunion. local.NAME is of the tests or the policy.

services are those that are served, in the order of their names. Their members, null where
there is none:
`}

const testsEnd = `
Coverage counts the rules of acls that a service has, their defaults, and what can refuse of their
limits. A rule is reached by a client about whom it decides, a limit by one whom it refuses or,
concurrent, who waits. A default behind a rule for any is not counted, and invariants reach nothing.
`
