package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/learn"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// learnOptions are the flags of learn.
type learnOptions struct {
	command, listen, user string
	clients, env          []string
	profile               string
	normal                []int
}

func (a *app) learnCmd() *cobra.Command {
	var o learnOptions
	var of serviceOptions
	cmd := &cobra.Command{
		Use:   "learn SERVICE | --command CMD --client CMD...",
		Short: "Write a profile from what a program does",
		Long: `learn writes the profile that a program needs, and prints it only when it has proved
that the program's clients are served under it.

With --command it starts a casemated of its own on a port of 127.0.0.1, with --command as its service
under --user, and runs each --client with /bin/sh, with $PORT, $HOST, and $SCRATCH, an
empty folder. A client that exits with 0 was served; what it prints must be the same
again where it was the same twice. So a client has to test what it gets, and to be
one that can be run many times. The program's sessions have to end well too: with exit
status 0, or one that --status names (a daemon that exits with 1 whenever its client
leaves), or by the signal of a client that has gone. One for --listen ...-wait is not asked.

  1. Observe: under the service's user and namespaces with a profile as wide as one can
     be without a reason, the program is followed (as trace does). While clients fail,
     what it was refused is granted as well: a place to write, a capability, the network.
  2. Reduce: to the narrowest shipped profile (that of the program's kind comes first:
     profile.perl for a Perl program; strict is for what loads no library), and what has to
     be added to it: groups of calls before single ones, directories in place of many
     files, and never a place such as /etc or /home as a whole. Limits are the base's.
  3. Replay: the clients run under the profile, enforced. What is refused there and
     matters is added; if nothing helps, the next wider base is tried.
  4. Take away: each line is left out, and stays where a client fails without it, if only
     now and then. So does a file that was read and is not of those that every program
     reads: what it says may be what no client tests, as who may do what. The others are
     listed in a comment. (A line may still be of use: for a log with local time, or on
     the day of an error.)

With SERVICE it follows real sessions of the running casemated, as trace does and no slower, and
learns from these (for a program of a rule of its acl use --command, and grant the profile
both). They cannot be replayed: what a client sent is not kept, and sent again it would be
another thing. So clients are needed to prove it, --client, which run in a casemated of its
own with the service as it is; or twice as many sessions, of which the second half is held
against what the first half used (--connections 10 follows 20). With --tighten it starts
from the profile in force, and prints that without what no session used, proved in one of
the same two ways; what no session is likely to show stays (how a program ends, and dies).

From sessions that failed nothing is learnt, only from the others: those that ended with
an error or crashed, or of which a process did after it was refused something. It says
what that was, and the profile says how many they are. No failure is an error exit after
the client has reset or shut the connection, nor a session that a limit or somebody has
ended by SIGKILL: what it used until then counts.

The profile is printed in the form of casemate fmt with the evidence of each line, and with
the clients' commands: keep passwords out of these. Nothing is installed: put it into your
policy, and write profile = profile.NAME in the service.

It needs root. The clients and the program really run: what they change on this host stays.
Of what a client starts nothing runs on after its sh: it has process numbers of its own.

Exit status: 0 a profile was proved, 3 none was, 1 otherwise.`,
		Example: `  casemate learn --command '/usr/sbin/micro-httpd /srv/www' --client 'curl -fsS http://$HOST:$PORT/index.html'
  casemate learn --command '/usr/bin/rsync --daemon --config=/etc/rsyncd.conf' --user rsync \
    --client 'rsync -a rsync://$HOST:$PORT/pub/ $SCRATCH/ && test -s $SCRATCH/README'
  casemate learn finger --connections 50
  casemate learn finger --for 10m --client 'echo root | nc -N $HOST $PORT | grep -q login'
  casemate learn finger --for 1h --tighten
  casemate learn --listen udp-wait --command '/usr/sbin/in.tftpd -s /srv/tftp' --client 'tftp $HOST $PORT -c get image $SCRATCH/image'`,
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{keepsAll: "it starts and follows processes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, only := range []struct {
				flags []string
				not   bool // they are wrong now
			}{{[]string{"command", "listen", "user", "env"}, len(args) == 1}, {[]string{"connections", "for", "tighten"}, len(args) == 0}} {
				for _, f := range only.flags {
					if only.not && cmd.Flags().Changed(f) {
						return fmt.Errorf("learn: --%s does not go with what is learnt: see casemate help learn", f)
					}
				}
			}
			if i := slices.IndexFunc(o.normal, func(n int) bool { return n < 1 || n > 255 }); i >= 0 {
				return fmt.Errorf("learn: --status %d: an exit status that is no error is one of 1 to 255, beside 0", o.normal[i])
			}
			if len(args) == 0 {
				return a.learnCommand(cmd.Context(), &o)
			}
			of.clients, of.profile, of.normal = o.clients, o.profile, o.normal
			if of.connections < 0 || of.limit < 0 {
				return errors.New("learn: --connections and --for count from 1 and 1s")
			}
			return a.learnService(cmd.Context(), args[0], &of)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.command, "command", "", "the program with its arguments; '...' and \"...\" keep words together")
	f.StringArrayVar(&o.clients, "client", nil, "a client, as a line of sh; may stand several times")
	f.StringVar(&o.listen, "listen", "tcp", "how the program is served: tcp, tcp-wait or udp-wait")
	f.StringVar(&o.user, "user", "dynamic", "the user that it runs as")
	f.StringArrayVar(&o.env, "env", nil, "NAME=VALUE of its environment; may stand several times")
	f.StringVar(&o.profile, "profile", "", "the profile's name (the program's)")
	f.IntSliceVar(&o.normal, "status", nil, "an exit status of the program that is no error, beside 0; may stand several times")
	f.IntVar(&of.connections, "connections", 0, "sessions of SERVICE to learn from (10, unless --for is given)")
	f.DurationVar(&of.limit, "for", 0, "how long SERVICE is followed")
	f.BoolVar(&of.tighten, "tighten", false, "print SERVICE's own profile without what no session used")
	return cmd
}

// learner is one run of learn.
type learner struct {
	*site
	ctx     context.Context
	wide    learn.Wide
	want    *outcome
	same    []bool
	bases   []learn.Base
	started time.Time
	runs    int
	rounds  int
	earlier *learn.Needs // of real sessions, or nil: no client has to need them
}

func (a *app) learnCommand(ctx context.Context, o *learnOptions) error {
	if os.Geteuid() != 0 {
		return errors.New("learn: it starts a casemated and follows its processes: run as root")
	}
	argv, err := words(o.command)
	if err != nil {
		return fmt.Errorf("learn: --command: %w", err)
	}
	switch {
	case len(argv) == 0:
		return errors.New(`learn: write --command '/path/of/program arguments'`)
	case !filepath.IsAbs(argv[0]):
		return fmt.Errorf("learn: --command: write the absolute path of %q", argv[0])
	case inSandbox(argv[0]) != "":
		return fmt.Errorf("learn: --command: %s lies below %s, of which a sandbox has its own or none: put it elsewhere, as below /usr/local or /opt", argv[0], inSandbox(argv[0]))
	case len(o.clients) == 0:
		return errors.New("learn: write a client: --client 'curl -fsS http://$HOST:$PORT/'")
	}
	network, wait := strings.CutSuffix(o.listen, "-wait")
	if network != "tcp" && o.listen != "udp-wait" {
		return fmt.Errorf("learn: --listen %q is not known: write tcp, tcp-wait or udp-wait", o.listen)
	}
	s, err := newSite(a, network, o.clients)
	if err != nil {
		return err
	}
	defer s.close()
	s.normal = o.normal
	if s.block, err = serviceBlock(o, argv, wait); err != nil {
		return err
	}
	name := o.profile
	if name == "" {
		name = profileName(filepath.Base(argv[0]))
	}
	return a.learn(ctx, s, nil, argv[0], name, fmt.Sprintf("%s as user %s", o.command, o.user))
}

// inSandbox is the directory of the sandbox's own that a program lies in, "" for none.
func inSandbox(program string) string {
	for _, dir := range []string{"/tmp", "/dev", "/proc", "/sys"} {
		if strings.HasPrefix(filepath.Clean(program), dir+"/") {
			return dir
		}
	}
	return ""
}

// serviceBlock is the service of a command, without its profile.
func serviceBlock(o *learnOptions, argv []string, wait bool) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "  command = [%s]\n  user = %s\n  wait = %t\n", quoteAll(argv), quoteAll([]string{o.user}), wait)
	if o.user == "root" {
		b.WriteString("  because = \"learnt as it runs\"\n")
	}
	if wait {
		b.WriteString("  acl = acl.anyone\n  limit = limit.wait\n")
	} else {
		b.WriteString("  acl = acl.client\n  limit = limit.client\n")
	}
	if len(o.env) > 0 {
		b.WriteString("  env = {\n")
		for _, e := range o.env {
			name, value, ok := strings.Cut(e, "=")
			if !ok {
				return "", fmt.Errorf("learn: --env %q: write NAME=VALUE", e)
			}
			fmt.Fprintf(&b, "    %s = %s\n", quoteAll([]string{name}), quoteAll([]string{value}))
		}
		b.WriteString("  }\n")
	}
	return b.String(), nil
}

// profileName makes a name of the language of a program's.
func profileName(program string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '-'
	}, program)
	name = strings.Trim(name, "-_0123456789")
	if name == "" {
		return learnt
	}
	return name
}

// learn observes, reduces, replays and prints.
// earlier is what is known to be needed already, or nil.
func (a *app) learn(ctx context.Context, s *site, earlier *learn.Needs, program, name, of string) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	signal.Ignore(unix.SIGTSTP)
	l := &learner{site: s, ctx: ctx, started: time.Now(), wide: wideFor(program, s.network == "udp")}
	var err error
	if l.bases, err = shippedBases(program); err != nil {
		return err
	}
	l.wide.Apart = s.service != nil && apart(s.service)
	needs, err := l.observe()
	if err != nil {
		return err
	}
	if l.earlier = earlier; earlier != nil {
		needs.Add(earlier)
	}
	d, err := l.prove(needs)
	if err != nil {
		return err
	}
	dropped, err := l.takeAway(d)
	if err != nil {
		return err
	}
	return a.printLearnt(l, d, dropped, needs, name, of)
}

// saying tells how far learning is.
func (l *learner) saying(format string, args ...any) {
	fmt.Fprintf(l.a.err, "casemate: learn: "+format+"\n", onLine(args)...)
}

// wideFor is what a program is observed under first.
func wideFor(program string, datagrams bool) learn.Wide {
	w := learn.Wide{Mode: sandbox.NetworkNone}
	if datagrams { // it answers from the socket that it is handed
		w.Mode = sandbox.NetworkListener
	}
	for _, dir := range []string{"/etc", "/usr", "/var", "/opt", "/srv", "/home"} {
		if onHost(dir) {
			w.Read = append(w.Read, dir)
		}
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/local", filepath.Dir(program)} {
		if onHost(dir) && !slices.Contains(w.Exec, dir) && dir != "/" && dir != "/tmp" {
			w.Exec = append(w.Exec, dir)
		}
	}
	return w
}

// no says why there is no profile, and is the error for it.
func (l *learner) no(format string, args ...any) error {
	l.saying(format, args...)
	return errNo
}
