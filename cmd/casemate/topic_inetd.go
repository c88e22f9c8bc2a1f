package main

import "github.com/spf13/cobra"

// inetdTopic is `casemate help inetd`: how a policy and an inetd.conf go together.
func (a *app) inetdTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "inetd",
		Short: "How a policy extends an inetd.conf",
		Long: `An inetd.conf among the sources is part of the policy, and of its digest:

  casemate check /etc/casemate /etc/inetd.conf
  casemated /etc/casemate /etc/inetd.conf

A file is one by its name: inetd.conf, *.inetd (also in a directory of *.cm.hcl files), and
every file of a directory inetd.d; what it includes is named beside it. Each entry is a service. It is called as its entry calls
it (telnet); port-7971 where that is a number, run-x-sock where it is a path. Where several
would be called the same, that of tcp keeps the name and the others have their protocol
behind it (echo-udp), then their address. A program behind tcpd runs without it.

A service block extends an entry: what the entry says holds unless the block says otherwise.

  # telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd -h
  service "telnet" {
    extends = "telnet/tcp"           # service and protocol as the entry writes them, or
    acl     = acl.office             # 192.0.2.1:telnet/tcp where lines differ in that alone
    limit   = limit.public
  }

The inetd block says what entries get that no block extends, and what an extending block
does not say: acl (an inetd admits everybody, casemate wants to hear it), limit, profile.
With unextended = "refuse" an entry that no block extends is an error.

  inetd { acl = acl.anyone }

Each file may have an inetd block, as long as they agree; what one with yields = true says holds
where no other says it. address, backlog, rate, concurrent and per_source { ... } are those of entries
that write none of their own. With unreadable = "skip" an entry that cannot be read or served is
a warning, and the others are served.

With hosts_access = true in place of acl, hosts.allow and hosts.deny among the sources decide for
each entry as tcpd would, by the name of its program. What a policy cannot say (spawn, LOCAL, netgroups)
is an error then, which "strict" says too; with hosts_access = "compat" it is a warning: such a pattern
admits nobody, what it would deny is denied, spawn runs nothing, and all else is decided as libwrap does.
In a directory that is a source they are not looked for: name the two files themselves.
hosts_access_for = ["tcpd"] asks them for what stands behind tcpd alone ("programs" for every program,
"internal" for what is internal); acl says who may connect to the others. The inetds of netbsd and of
freebsd (-wW) ask for every program themselves, Debian's with -l, others through tcpd alone: check
warns where hosts_access asks for an entry for which nobody did.

Without a profile a program has profile.classic: it sees the system and changes nothing of it,
has a /tmp of its own and its client for a network. One with wait has classic_wait. Root programs that
become another user have what their kind needs: classic_login (telnetd, login, sshd, popa3d and others),
classic_ftpd, classic_rshd, classic_data (rsync, cvs, svnserve) and, with wait, classic_tftpd. What is
internal is the built-in of that name, which runs as nobody in particular: tcpmux hands its clients
over to the entries tcpmux/NAME, which extends writes as "tcpmux/NAME/tcp".

Without a limit it has limit.classic, in which the entry's own numbers take the place of its
256/min and 128 at a time. A program with wait has limit.wait. What is internal and dgram has
limit.default, which bounds each source. Where a block names a limit, the smaller of both numbers holds.
nowait.40 is a rate of 40/min that sheds what is over it: no entry is ever switched off.

An entry with wait takes its clients itself: its acl must admit everybody, or a block extends it
with refuse = "silent", with which the kernel holds an acl of addresses, or with wait = false.

The dialects debian, openbsd, freebsd, netbsd, gnu and busybox are told apart by what only some
of them write, else it is debian's; inetd { dialect = "openbsd" } says it. What the same words
mean in them: tcp is both families for debian and IPv4 for the others; an indented line goes on
with the entry above, but for gnu and busybox; quotes are freebsd's, netbsd's and gnu's; a unix
socket has mode 0666 for debian and openbsd, and 0200 for freebsd; user.group is split at its dot
but for freebsd.

A file of the name services among the sources (and protocols) is the host's: names of ports in
entries and in the policy mean what it says. Else they are those that casemate ships, and
casemate check --host says where the host's differ.

What cannot be understood is an error, with its line and column. A warning is an entry that is
not served (RPC, raw sockets), and a word of one that does nothing here (login
classes, accept filters, IPsec).

explain and check show the line of every value.

inetd, with the flags of an inetd, has casemated serve the host's own tables this way, with all that
an inetd does where nobody says otherwise (inetd --help).`,
	}
}
