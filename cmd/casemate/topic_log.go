package main

import "github.com/spf13/cobra"

// logTopic is `casemate help log`: the record format on one page. A test holds
// the table against what is written.
func (a *app) logTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "log",
		Short: "The records of the log, field by field",
		Long: `casemated writes its log (--log FILE, or stderr) as one JSON object per line. Under
systemd's journal each line begins with its priority. msg says what a record is:

  decision            a client was admitted or refused
  session             a session is over, or could not be started
  denied              system calls that a session's filter denied: the first of each kind at
                      once, and how many more there were at the session's end
  stderr              a line that a service wrote to its standard error
  stdout              a line that it wrote to its standard output, where stdout = "log"
  syslog              a message that a service gave syslog(3), where its profile has log = true
  refused-suppressed  so many decisions of a service were not written one by one
  stderr-suppressed   so many lines of a service's stderr were left out, beyond 20 a second of
                      a session (100 at once) or 200 of the service (1000 at once)
  stderr-lost         so many bytes of a service's stderr were thrown away, because the log
                      worker was stopped or gone and the service would have waited
  stdout-suppressed   the same of its stdout, which has as much again
  stdout-lost
  denied-suppressed   so many records of a service's denied calls were left out, beyond 20 a second
                      (200 at once); what they counted is lost with them
  syslog-suppressed   so many records of a service's syslog messages were left out, in the same way
  syslog-lost         so many of those messages were thrown away, for the same reason
  log-dropped         so many lines are missing here: the log was not taken, or its
                      disk was full; a line that was begun then ends where it ended
  diagnostic          what is wrong with a policy that was not loaded, or what one that was warns of, and where
  bug                 a part of casemated failed; the rest goes on
  (anything else)     a note about casemated itself

FIELD           TYPE    RECORDS             MEANING
time            string  all                 when, RFC 3339
level           string  all                 INFO, WARN or ERROR; of syslog also DEBUG
msg             string  all                 what the record is, see above
format_version  number  all                 1; changes when a field changes its meaning
id              number  decision session denied stderr stdout syslog   the session's, or the refusal's, own number; of denied, stderr, stdout and syslog, of the session whose process it was, 0 where a denied call's could not be told
service         string  decision session denied stderr stdout syslog suppressed note  the service's name in the policy
client          string  decision session    the address, unmapped and without zone, or "unix" or "vsock"; absent where the program takes its clients itself
client_port     number  decision session    of a client with an address, or of a vsock's
client_uid      number  decision session    of a unix client
client_cid      number  decision session    of a vsock client: its machine
client_name     string  decision session    the forward-confirmed host name, where a rule asked for it
network         string  decision            tcp, udp, unix, unixgram, unixpacket or vsock
local           string  decision            the address and port, or the path, that the client came to, where it is known
verdict         string  decision            allow or deny
reason          string  decision session    of a deny, see below; of a session: exit, killed, timeout, violation, memory, crash, hangup, idle, silent, slow, start-failed, and of a built-in stalled and reset
rule            string  decision            the deciding rule: file:line:column, default, or none (no rule was asked, or the program of a wait service or of a built-in was started)
rule_name       string  decision            its name, where it has one
acl             string  decision            the service's acl, "" without one
digest          string  decision session denied note   of the policy that decided
generation      number  decision note       of the policy; absent in a built-in's own records
pid             number  decision session denied  the program's, where it is one of its own; of denied, the thread's that made the first such call
uid             number  session             the program's, with pid
exit            number  session             its exit status, where it ended so
signal          string  session denied      the signal that ended it, where one did
detail          string  session             why it could not be started, or what has ended it
source          string  decision            the prefix that was counted, of a deny by penalty, source-rate, source-concurrency, wider-rate or wider-concurrency of a client with an address
limit           object  decision            the service's limit block, as compiled and without exempt, of a deny for another reason than acl, ban and drain: reason says which part of it
limits          array   session             the limits that it ran into, as far as its end tells: see below
syscall         string  denied              the call; absent in the count of those beyond 64 kinds in one session, and where the kernel does not tell what a filter has killed for
args            string  denied              those of its arguments that tell calls apart, in the words of C; what lies behind a pointer is unknown
errno           string  denied              what the call failed with: EPERM, or ENOSYS, as on a kernel without it; absent where the caller was killed
grant           string  denied              what to write into the policy to allow such a call and as little else as can be; absent where nothing would
duration_ms     number  session             from its admission to its end; absent after start-failed
user_ms         number  session             processor time of a program
sys_ms          number  session             processor time of the kernel for it
max_rss_kb      number  session             the most memory that it had
bytes_in        number  session             what its tcp client sent, read or not, as the kernel counts it; absent for any other client, and for a socket that casemated kept no copy of (keep_socket = false, wait)
bytes_out       number  session             what was written to its tcp client, taken or not, likewise
facility        string  syslog              of the message, as auth, daemon or local0: the program's word, as are the next three
severity        string  syslog              emerg, alert, crit, err (these are ERROR), warning, notice, info or debug
ident           string  syslog              the name that the program goes by, where it says one
ident_pid       number  syslog              the process id that it says, in its own pid namespace
text            string  stderr stdout syslog note  the line, quoted as in Go (\x1b, \\); the detail of a note, as the source that is banned and until when
count           number  denied suppressed dropped  how many
error           string  note                what went wrong
code            string  note                of a diagnostic, as casemate check prints it
file            string  note                of a diagnostic
line            number  note                of a diagnostic
column          number  note                of a diagnostic
version         string  note                of casemated, at its start
os_pid          number  note                of casemated, at its start
policy          string  note                the paths of the policy
services        number  note                how many are in a policy that was loaded
listeners       number  note                how many sockets it has
sessions        number  note                how many are left at a stop
ended           number  note                programs of an earlier casemated that were ended
left            number  note                and that were left alone
leave           bool    note                true: they are left alone at this stop
how             string  note                of a load: start, reload, signal (HUP) or rollback
asked_uid       number  note                of a load that casemate reload or rollback has asked for, of bans and drains: the uid of who did
panic           string  note                of a bug
stack           string  note                of a bug

REASON OF A DENY     MEANING
ban                  an operator has banned its source (casemate ban)
drain                an operator lets the service take no new clients (casemate drain)
acl                  the host rules
penalty              the source is shut out for what its sessions did
rate                 the service as a whole starts too many
concurrency          the service as a whole runs too many
wider-concurrency    a network around this source, of the limit's per_source { wider }, runs too many
wider-rate           a network around this source starts too many
early-drop           the draw of the limit's early_drop, as the service as a whole nearly runs too many
load                 the host's load is above the max_load of the limit
queue                no place was free in the time that the limit's queue lets a client wait
gone                 it went while it waited for a place
source-rate          this source starts too many
source-concurrency   this source runs too many
table-full           65,536 sources of the service run sessions, owe their rate something or have a penalty;
                     newcomers share what 16 sources may have, and that is used up
names                too many clients wait for their names
busy                 too many starts wait, or no uid is left to lease
contend              a datagram behind those of other peers in one queue
sessions             a built-in has no descriptors for more sessions
response-rate        a udp built-in's answers to one network, or to all (responses and responses_total of the limit)
source-port          no datagram from there is answered: below 1024, or known to answer anything
source-address       nobody can be there: unspecified, a group, reserved
broadcast            the datagram was sent to more than this host
loopback-source      from loopback, at a socket that is not bound to it
own-address          from this host's own address
kernel               in status alone: what the kernel dropped at the listeners of a service with refuse =
                     "silent", banned sources too, or because their queue was full

A session that is killed was ended by casemate kill or ban --end, by casemated's stop, because a
built-in's worker was no longer what the policy says, or by somebody's SIGTERM, SIGINT,
SIGHUP, SIGQUIT, SIGPIPE or SIGALRM; its client earns no penalty.

A service with log = "sessions" has no decision that denies, and those are not counted
here (status counts them). One with log = "refusals" has no decision that allows, and no
session whose reason is exit or killed. Everything else is in every log: a timeout, a
violation, a crash, a start that failed, what is missing, stderr, stdout, and syslog.

Which session a syslog message came from is known from the socket that it came to: each
session has one of its own, at which nobody else can send. One message is one record; of
more than 4096 bytes it goes on in the next, and beyond 65536 it is cut. The time in it is
left out for time.

Each of limits has of (the block: profile.NAME, limit.NAME or service.NAME; host is what no policy
bounds), limit (the attribute there), value (as a compiled policy has it: bytes, seconds of cpu_time,
nanoseconds of session, first_byte and idle, bytes a second of min_rate), count (how often) and others. They are: session, first_byte (its
reason is silent), min_rate (slow) and idle, which end a session; file_size and cpu_time, of which its program has died; tasks, for which it could not be
started; and what was counted for all of the service's sessions since one ended last: memory, for want of which
so many processes were killed, and processes, for which so many forks failed (before Linux 6.11 also by a limit
of casemated's unit). Where others is not 0 it may have been as many other sessions in place of this one. A
limit that does no more than make a call fail is in no record (open_files, address_space, data, tasks,
locked, tmp, and any of a process that a program started): casemate trace shows those.

A denied call is told as long as casemate-worker denials answers for its filter. What libraries and runtimes
try unasked, and do without, is not: clone3, statx, openat2 and others of that kind, the sockets that glibc asks
nscd and syslog by (and Go's unix stream sockets, which are the same to the bit), with ENOSYS, and that of
libaudit, with EPROTONOSUPPORT. Others that fail with ENOSYS, as io_uring_setup and other unix sockets, are.
A call that kills under on_violation = "kill" has its record without its arguments.

suppressed stands for refused-suppressed, denied-suppressed, stderr-suppressed, stderr-lost, stdout-suppressed,
stdout-lost, syslog-suppressed and syslog-lost, dropped for log-dropped, note for every other record. A field of a note
that is 0, false or empty is absent. A rotated FILE is opened anew by casemate reload and
SIGHUP.`,
	}
}
