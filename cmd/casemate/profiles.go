package main

import (
	"bytes"
	"fmt"
	"strings"

	"casemate/cmd/confine"
	"casemate/policy/explain"
	"casemate/policy/lang"
	"casemate/sandbox"

	"github.com/spf13/cobra"
)

func (a *app) profilesCmd() *cobra.Command {
	var all, groups, matrix, units bool
	var policies []string
	cmd := &cobra.Command{
		Use:   "profiles [NAME...]",
		Short: "List, print and compare profiles, and describe groups of system calls",
		Long: `profiles lists the profiles that are part of casemate, with what each is for: the general ones
from the narrowest to the widest, then those of kinds of program and of daemon. With names (line, or profile.line) it prints what each comes to: a block of the
policy language with everything that it has from its bases, and on each line the place
where that was written. The block compiles to the same profile; that of a shipped one is
named my_NAME, to begin a profile of one's own with. --source prints what was written
instead: with names their blocks, alone the whole shipped file, which also holds
acl.anyone, acl.localhost, limit.default and limit.wait. -o json prints profiles resolved,
and with --source too as their source.

With --policy PATH (a file, a directory, a compiled document, git:REV:PATH or - for standard
input) the profiles of that policy may be named as well, and without names they are the list.

With --unit it prints the systemd units that come nearest to each profile, a socket and its
service, and in comments what systemd cannot say. systemd-analyze security --offline=yes
tells what it thinks of them.

With --groups it lists the groups of system calls that syscalls { allow, deny }
may name, or those named: what each is for, its calls, the calls it allows by their
arguments alone, and the shipped profiles that have all of it. Of a system call, named
without @, it prints which groups have it and what it costs a profile to allow it.

With --matrix it prints a table of the system calls, all or those named: which shipped
profile allows each, with any arguments or with some alone, which groups have it, and
whether OpenSSH before authentication, systemd's @system-service and Docker allow it.`,
		Example: `  casemate profiles
  casemate profiles line
  casemate profiles finger --policy /etc/casemate
  casemate profiles diff line files
  casemate profiles line --unit
  casemate profiles server -o json
  casemate profiles --source
  casemate profiles --groups @socket-unix
  casemate profiles --groups socket
  casemate profiles --matrix`,
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case groups:
				return a.groups(args)
			case matrix:
				return a.matrix(args)
			}
			if all && len(args) == 0 {
				return a.source(nil)
			}
			known, err := a.known(policies)
			if err != nil {
				return err
			}
			chosen, err := known.choose(args)
			if err != nil {
				return err
			}
			switch {
			case all:
				return a.source(chosen)
			case units:
				return a.units(chosen)
			}
			return a.profiles(chosen, len(args) > 0)
		},
	}
	cmd.AddCommand(a.profilesDiffCmd())
	a.grants[cmd] = func([]string) confine.Grant { return confine.Grant{Read: onDisk(policies)} }
	a.revisions(cmd, "")
	f := cmd.Flags()
	f.BoolVar(&groups, "groups", false, "list the groups of system calls")
	f.BoolVar(&matrix, "matrix", false, "print which shipped profile allows which system call")
	f.BoolVar(&all, "source", false, "print the source of the shipped profiles named, or the whole shipped file")
	f.BoolVar(&units, "unit", false, "print the systemd units that come nearest")
	f.StringArrayVar(&policies, "policy", nil, "a policy whose profiles are named (more than one path are one policy)")
	return cmd
}

// profiles prints profiles: what they do, or each as the block that it comes to.
func (a *app) profiles(chosen []profile, written bool) error {
	switch {
	case a.json():
		plain := []sandbox.Profile{}
		for _, p := range chosen {
			plain = append(plain, p.Profile)
		}
		return a.printJSON(struct {
			FormatVersion int               `json:"format_version"`
			Profiles      []sandbox.Profile `json:"profiles"`
		}{1, plain})
	case written:
		for i, p := range chosen {
			text, err := p.text()
			if err != nil {
				return err
			}
			if i > 0 {
				a.printf("\n")
			}
			a.printf("%s", text)
		}
		return nil
	}
	for _, p := range chosen {
		a.printf("%s\n", a.paint("1")("profile."+p.Name))
		if p.shipped {
			a.printf("  # %s\n", purpose(p.Name))
		}
		for _, line := range explain.Layers(&p.Profile, "SERVICE") {
			a.printf("  %s\n", line)
		}
	}
	return nil
}

// purpose is the first sentence of what is written above a shipped profile.
func purpose(name string) string {
	words, _, _ := strings.Cut(string(lang.ShippedBlock("profile", name)), "profile \"")
	words = strings.ReplaceAll("\n"+words, "\n#", " ")
	first, _, _ := strings.Cut(strings.Join(strings.Fields(words), " "), ". ")
	return strings.TrimSuffix(first, ".") + "."
}

// source prints the source of shipped profiles, or without any all of the shipped file.
func (a *app) source(chosen []profile) error {
	text := lang.Shipped()
	var blocks [][]byte
	for _, p := range chosen {
		block := lang.ShippedBlock("profile", p.Name)
		if block == nil {
			return fmt.Errorf("the source of profile.%s is at %s", p.Name, explain.Line(p.origins["profiles."+p.Name+".name"]))
		}
		blocks = append(blocks, block)
	}
	if len(blocks) > 0 {
		text = bytes.Join(blocks, []byte("\n"))
	}
	if a.json() {
		return a.printJSON(struct {
			FormatVersion int    `json:"format_version"`
			Source        string `json:"source"`
		}{1, string(text)})
	}
	a.printf("%s", text)
	return nil
}
