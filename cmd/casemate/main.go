// Command casemate is the tool around a policy: it checks, formats, compiles
// and explains policy files, and talks to a running casemated.
//
// Exit status: 0 yes, 1 could not do the job, 3 the answer is no. Never 2,
// which is how a crashing Go program ends: a gate must not read a crash as an
// answer.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"casemate/cmd/confine"
	"casemate/cmd/version"

	"github.com/spf13/cobra"
)

// The exit statuses of every verb.
const (
	exitYes  = 0
	exitFail = 1
	exitNo   = 3
)

// errNo is returned by a verb that did its job and has already said no.
var errNo = errors.New("the answer is no")

// errReported is returned by a verb whose error is printed already.
var errReported = errors.New("reported")

// keepsAll is the annotation of a verb that follows or starts processes, which
// none that has confined itself can.
const keepsAll = "keeps-all"

// A run is short: the garbage collector keeps out of its way until the memory of
// a policy of thousands of services is used, and holds it there.
const (
	gcPercent   = 400
	memoryLimit = 256 << 20
)

func main() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, confine.Self))
}

// run is main with its surroundings passed in. A panic is a failure to do the
// job, so it ends with 1; its text goes to stderr for the bug report. confined
// takes from the process all but what the verb was told to read and to write.
func run(args []string, in io.Reader, out, errw io.Writer, confined func(confine.Grant) error) (code int) {
	a := &app{in: in, out: out, err: errw, grants: map[*cobra.Command]func([]string) confine.Grant{}}
	defer func() {
		if r := recover(); r != nil {
			a.fail(fmt.Errorf("internal error, please report it: %v", r))
			code = exitFail
		}
	}()
	cmd := a.root(confined)
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errw)
	err := cmd.Execute()
	if a.into != nil {
		a.into.Close()
	}
	if a.broken != nil && err == nil {
		err = fmt.Errorf("write output: %w", a.broken)
	}
	if err != nil && !a.settled {
		a.format = early(args)
	}
	switch {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	case !errors.Is(err, errReported):
		a.fail(err)
	}
	return exitFail
}

// root builds the command tree. Between its flags and its work every verb is
// confined to its grant; one that declares none opens no file.
func (a *app) root(confined func(confine.Grant) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "casemate VERB",
		Short: "Check, explain and run policies of a sandboxing super-server",
		Long: `casemate is the tool around the policy of casemated, a super-server that starts
each connection's program alone in its own sandbox.

A policy is one or more files or directories of *.cm.hcl files, or one compiled
document (*.json). check, explain-rule, fmt, test, compile, diff, report, schema, import, profiles,
and explain, show and score with a path read only what they are given and work as any user;
status, why, plan, history, bans, kill, ban, drain, reload, rollback, and those three without a path ask a
running casemated. check, test, compile, diff, plan, explain, show, score, report and
profiles --policy take git:REV:PATH as well, for what a commit has.

Before it parses anything, casemate takes from itself what its verb does not need
(Landlock): other files, any tcp connection; casemate version says what this kernel
enforces. trace and learn, which root runs, follow and start processes and keep what they
have.

With -o json a verb writes one JSON object with "format_version" to standard output.
Where it could not do the job (exit status 1) that object has "ok": false, the text of the
error as "error" and, where they are what is wrong, the "diagnostics"; the same text is on
standard error. Rules count from 1 in both.

Exit status: 0 yes, 1 could not do the job, 3 the answer is no.`,
		Example: `  casemate check /etc/casemate
  casemate explain finger 192.0.2.66 /etc/casemate
  casemate import host >site.cm.hcl
  casemate status`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.json() {
				if err := cmd.Help(); err != nil {
					return err
				}
			}
			return fmt.Errorf("no verb given")
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			var made []string
			if err := a.settle(cmd); err != nil {
				return err
			}
			if a.into = a.written[cmd]; a.into != nil {
				var err error
				if made, err = a.into.Open(append(flagWords(cmd, "facts", "weights", "log"), policyArgs(cmd, args)...)); err != nil {
					return err
				}
			}
			if cmd.Annotations[keepsAll] != "" {
				return nil
			}
			a.fetch(cmd, args)
			var g confine.Grant
			if of := a.grants[cmd]; of != nil {
				g = of(args)
			} else if completing[cmd.CalledAs()] {
				g = reads(a.hand(args))
			}
			g.Place = made
			return confined(g)
		},
	}
	f := cmd.PersistentFlags()
	f.StringVarP(&a.format, "output", "o", "text", "output format: text or json; of some verbs more")
	f.StringVar(&a.color, "color", "auto", "color of text: auto, always or never")
	f.StringVar(&a.control, "control", controlPath, "control socket of casemated")
	cmd.Version = version.Word()
	cmd.SetVersionTemplate(versionLine() + "\n")
	cmd.SetHelpCommand(a.helpCmd())
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(c *cobra.Command, args []string) {
		c.Long = long(c)
		help(c, args)
	})
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(
		a.checkCmd(), a.explainRuleCmd(), a.fmtCmd(), a.compileCmd(), a.showCmd(), a.explainCmd(),
		a.diffCmd(), a.testCmd(), a.scoreCmd(), a.reportCmd(), a.schemaCmd(), a.profilesCmd(), a.importCmd(),
		a.learnCmd(), a.factsCmd(), a.lspCmd(confined), a.statusCmd(), a.whyCmd(), a.traceCmd(),
		a.killCmd(), a.banCmd(), a.unbanCmd(), a.bansCmd(), a.drainCmd(), a.undrainCmd(), a.planCmd(), a.reloadCmd(), a.historyCmd(), a.rollbackCmd(), a.versionCmd(),
		a.policyTopic(), a.inetdTopic(), a.logTopic(), a.callsTopic(), a.testsTopic(),
	)
	a.completions(cmd)
	sayMisuse(cmd)
	return cmd
}
