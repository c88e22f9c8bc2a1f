package main

import (
	"fmt"
	"strings"

	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// policyTopic is `casemate help policy`: the schema on one page.
func (a *app) policyTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "policy",
		Short: "The policy language on one page",
	}
}

// policyPage is the page: the rows of the language's attributes, with what the
// rows do not say.
func policyPage() string {
	var b strings.Builder
	b.WriteString(policyIntro)
	for i, block := range lang.Reference() {
		writeBlock(&b, "  ", &block)
		b.WriteString(policyNotes[i])
	}
	b.WriteString("\n\nFunctions, in the place of a value:\n\n")
	for _, f := range lang.Functions() {
		fmt.Fprintf(&b, "%s: %s\n", f.Example, f.Doc)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const policyIntro = `A policy is the union of its *.cm.hcl files. The order of blocks means nothing; the
same block twice is an error. acl.NAME, limit.NAME, profile.NAME and local.NAME
refer to blocks and are written without quotes.

`

// policyNotes stand below the blocks, in their order.
var policyNotes = []string{`
  locals { office = ["192.0.2.0/24", "2001:db8:10::/48"] }

`, `
The first rule that matches decides, allow { ... } or deny { ... }; its name is optional, for logs and explain.
Patterns of from and except: an address, a prefix, a host name, .domain, any,
known (the name is confirmed), unknown (no name), paranoid (name and address
disagree), uid=1000 (the user on the other end of a unix socket, as the kernel says), cid=3 (the machine on
that of a vsock). A service without acl admits nobody. Shipped: acl.anyone, acl.localhost, acl.nobody.

`, `
What is not written is not limited. Shipped: limit.default, which a service has that
names none, limit.wait, and limit.classic for entries of inetd.conf. A built-in counts its clients itself: after a reload that
changes its rules or limits a new worker counts from nothing, and those whom the old
one still serves to their end come on top.

`, `
What grants more than the base where + stands needs the layer of that name in widens:
network, files, capabilities, syscalls, resources, user_namespace or processor. A rule
allows a call where the argument under the mask is one of the values. A resource may be
"unlimited".

What deny_write_execute does not see is a file that is mapped once to be written and once
to be executed; the mounts do: what write, tmp and shm show is noexec. processor is
"host" where it says nothing. A processor that is not affected, or a kernel that has
switched a speculation off for all, needs no switch, and where no core has two threads
there is no core to share, as far as the kernel of a virtual machine can know. Else a
kernel without the switch, or without core scheduling, refuses the service, unless
best_effort names processor.store_bypass, processor.indirect_branch, processor.core, or
processor for all of them; casemate version says what a host has.

network { mode = "private" } gives each connection a network namespace whose loopback
(127.0.0.1 and ::1) is up and that has nothing else: its processes serve and reach each
other there, with the kinds of sockets that sockets names, and see neither the host's
ports and abstract unix sockets nor another session's. A socket of the host's network
could be aimed out of it, so the service has stdio = "relay", or listens on unix alone.
It takes a network namespace for each connection, which is more than all of its start
otherwise: expect a third of the connections a second.

map = { "/" = "/srv/alpine" } with exec = ["/bin", "/lib"] runs programs of a root tree that
is not the host's, with its own C library: the command, read, exec and write are paths inside, and each is what
the host has below the nearest one that map has. A list still says what is shown and may be done with it, and
a link, absolute or not, leads from name to name inside. What base has in its lists is looked for there
too: profile.line's /lib64, where the tree has none, may be named in optional.

Symbolic links are not followed below a write path, and no path may lie in one, of
this service or another: the service could put something else there. What leads to
a path must be root's, or a user's directory with that user's own files.

`, `
Networks: tcp, tcp4, tcp6, udp, udp4, udp6, unix, unixgram, unixpacket, vsock; unix:@name
is abstract: it has no file and so no mode or owner, every user of this network
namespace can connect to it, and whoever is first has the name: one that is taken refuses the
service, and while casemated does not run anybody can answer in its place. Who may connect is up
to the uid=NUMBER patterns of its acl alone. vsock:7000 takes the streams of virtual machines and their host (vsock:CID:7000 those that came to that
cid), who are cid=NUMBER to rules and to limits: 2 the host, 1 this machine itself. A port is a name, a number or a range (tcp://:7000-7010). A service with
builtin = "tcpmux" (RFC 1078) reads a name from each client and hands the client over to the
service that has it in its listen, as tcpmux:NAME; acl, limits, user and profile are those
of that service, in the log and in status as well.

With stdio = "relay" a program has no socket of the network: 0 and 1 are one end of a unix
socket pair, and casemate-worker, without privileges, carries between that and the
client, the end of each way by itself. So the program can neither aim its client's
socket elsewhere nor set its options. Limits, idle, hangup, kill and records are those of
every session, which lasts until its client has been sent what the program wrote (one
that takes none of that for a minute, or whose session is ended, is reset). Who is there
REMOTE_ADDR and the others of env_style say alone: getpeername(2) of 0 names nobody, and
SO_PEERCRED the worker's user. What asks for an internet socket on 0, as rshd and telnetd
do, does not work so. Sessions end with the worker, and with casemated whatever on_stop
says. udp, unixpacket and wait = true are refused. Expect two thirds of the connections
and half of the bytes a second of stdio = "socket".

Durations: 500ms, 90s, 10m, 1h30m, 2d.

A block with for_each makes services that differ in each.key and each.value alone:
explain, logs, status and limits know them as NAME-KEY. The values are constants.

  service "team" {
    for_each = { red = 7001, blue = 7002 }       # team-red and team-blue
    listen   = ["tcp://:${each.value}"]
    command  = ["/usr/local/libexec/vault", each.key]
    user     = "dynamic"
    acl      = acl.anyone
  }

`, `
What the entries of an inetd.conf among the sources have: casemate help inetd.

`, `
A waiver accepts a warning or a notice of casemate check, until a day: casemate explain-rule says what each code is
about. It is for who reviews the policy alone: what casemated runs, and the digest, are the same with it and without.`}

// writeBlock writes a block with its attributes and the blocks in it.
func writeBlock(b *strings.Builder, indent string, block *lang.Block) {
	fmt.Fprintf(b, "%s%s {\n", indent, block.Name)
	name := 0
	for _, a := range block.Attributes {
		name = max(name, len(a.Name))
	}
	for _, a := range block.Attributes {
		line := fmt.Sprintf("%s  %-*s = %s", indent, name, a.Name, a.Example)
		if a.Instead != "" || a.With != "" {
			line = fmt.Sprintf("%s  # %s = %s", indent, a.Name, a.Example)
		}
		for i, about := range wrap(comment(&a), 70) {
			if i == 0 && len(line) > commentColumn-2 && len(about) > 0 && len(line)+len(about) > commentColumn+70 {
				b.WriteString(line + "\n")
				line = ""
			}
			fmt.Fprintf(b, "%-*s # %s\n", commentColumn-1, line, about)
			line = ""
		}
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	for i := range block.Blocks {
		writeBlock(b, indent+"  ", &block.Blocks[i])
	}
	b.WriteString(indent + "}\n")
}

// commentColumn is where the comments of writeBlock begin.
const commentColumn = 38

// wrap breaks a text into lines.
func wrap(text string, width int) []string {
	var lines []string
	for _, w := range strings.Fields(text) {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(w) <= width {
			lines[n-1] += " " + w
		} else {
			lines = append(lines, w)
		}
	}
	return lines
}

// comment is what stands beside an attribute.
func comment(a *lang.Attribute) string {
	text := a.About()
	if a.Layer != "" {
		text = "+ " + text
	}
	return text
}
