package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// sayMisuse has errors about arguments and flags, which cobra and strconv word for programmers, say what to write.
func sayMisuse(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagMisuse(err) })
	if count := cmd.Args; count != nil {
		cmd.Args = func(c *cobra.Command, args []string) error { return argumentMisuse(c, count(c, args)) }
	}
	for _, sub := range cmd.Commands() {
		sayMisuse(sub)
	}
}

// surplus is how cobra.NoArgs refuses an argument.
var surplus = regexp.MustCompile(`^unknown command (".*") for "[^"]*"$`)

// argumentMisuse adds the usage to an error about how many arguments there are; others of a verb's own stay as they are.
func argumentMisuse(c *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case surplus.MatchString(text):
		return fmt.Errorf("%s takes no argument %s: write %s", c.CommandPath(), surplus.FindStringSubmatch(text)[1], c.UseLine())
	case strings.HasPrefix(text, "requires at least "), strings.HasPrefix(text, "accepts "):
		return fmt.Errorf("%w: write %s", err, c.UseLine())
	}
	return err
}

// parsed is what strconv says of a text that it cannot read.
var parsed = regexp.MustCompile(`(?s)strconv\.Parse(\w+): parsing ".*": (.*)$`)

// flagMisuse says of a flag's value that is no number what it has to be.
func flagMisuse(err error) error {
	m := parsed.FindStringSubmatchIndex(err.Error())
	if m == nil {
		return err
	}
	text := err.Error()
	what := "write a number"
	switch kind, why := text[m[2]:m[3]], text[m[4]:m[5]]; {
	case kind == "Bool":
		what = "write true or false"
	case strings.Contains(why, "range"):
		what = "the number is too large"
	case kind != "Float":
		what = "write a whole number"
	}
	return fmt.Errorf("%s%s", text[:m[0]], what)
}
