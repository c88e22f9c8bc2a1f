// Command inetd stands in for an inetd: it takes the flags of the BSDs' and of GNU's,
// writes what they mean as a policy, and has casemated serve /etc/inetd.conf with it. It is
// no broker itself: it ends when casemated serves, or becomes casemated in the foreground.
//
// It runs as root for casemated's sake, and reads no policy and no table.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"casemate/cmd/version"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run returns the exit status: 0 or 1.
func run(argv []string, stdout, stderr io.Writer) int {
	s, err := parse(argv)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "inetd (casemate) "+version.Word())
		return 0
	case err == nil:
		err = start(s, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "inetd: %v\n", err)
		return 1
	}
	return 0
}

const usage = `inetd serves the entries of an inetd.conf, each connection alone in casemate's sandbox.

usage: inetd [flags] [CONFIG...]

A CONFIG is an inetd.conf or a directory of them; the default is /etc/inetd.conf and
/etc/inetd.d. With them go /etc/hosts.allow, /etc/hosts.deny, /etc/services and
/etc/protocols, and /etc/casemate, if it is there at the start, whose blocks extend the
entries (casemate help inetd). It is casemated that serves them: casemate status, explain
and reload work as with a policy of one's own.

  -d, --debug      stay in the foreground, log to stderr, and show what the flags mean
  -f, -i           stay in the foreground
  -e               log to stderr; with -f or -i, where it is the default
  -p[FILE], --pidfile[=FILE]  where casemated's pid goes (default /run/inetd.pid, in the
                   foreground none); -p alone is none. freebsd: FILE is the next word, and is
                   needed
  -R N, --rate=N   starts of a service in a minute (default 256). What is over it is shed;
                   no service is ever switched off. 0 is no bound
  -c N             sessions of a service at a time (default 128). 0 is no bound
  -C N[/T]         starts of a service in a minute for one source; T is s, min, h or d, or
                   1, 60, 3600 or 86400 seconds. 0 is no bound
  -s N             sessions of a service at a time for one source. 0 is no bound
  -q N             connections that wait to be accepted (default: as many as the system allows)
  -a ADDR          the address of entries that write none
  -w               ask hosts.allow and hosts.deny for every program, not only for those
                   behind tcpd
  -W               ask them for what is internal
  -l               debian: as -w. Others: log every connection, as is done anyway
  --environment    tell programs who their clients are, as is done anyway
  --dialect D      debian, openbsd, freebsd, netbsd, gnu or busybox: whose flags these are
                   (default: as this program is called, inetutils-inetd for gnu's, else debian),
                   and whose inetd.conf it is (default: told apart by what is in it)
  --strict         refuse a table with an entry that cannot be read or served. By default such
                   an entry is a warning and the others are served, but for one that a
                   block of the policy extends
  --policy PATH    what extends the entries, in place of /etc/casemate
  --log FILE       where records go (default /var/log/casemate/inetd.log, in the
                   foreground "-", which is stderr)
  --control PATH   casemated's control socket (default /run/casemate/control.sock)
  --libexec DIR    where casemate, casemate-worker and casemate-filter are (default: beside casemated)
  --help, --version  show this, or which casemate it is

-c, -C, -s and -R are those of entries that write no number of their own. -C and -s do not
bound entries with wait, which take their clients themselves. Such an entry that hosts.allow
or hosts.deny would not admit everybody to is not served.

With systemd it is casemate-inetd.service: systemctl disable --now inetd, then enable --now casemate-inetd.
What hosts.allow and hosts.deny say that no policy can is a warning: of patterns (LOCAL, netgroups) decided against the
client, of spawn not run.

Signals go to the pid of the file, which is casemated's and stays when that ends. HUP reads everything again and
leaves alone what did not change: listeners stay open, programs run on, and one with wait
keeps its socket. What cannot be read leaves all as it was. TERM ends.
Exit status: 0 when casemated serves, 1 when it could not start.
`
