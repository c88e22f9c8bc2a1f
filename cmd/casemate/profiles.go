package main

import (
	"bytes"
	"fmt"
	"strings"

	"casemate/policy/explain"
	"casemate/policy/lang"
	"casemate/policy/suggest"
	"casemate/sandbox"

	"github.com/spf13/cobra"
)

func (a *app) profilesCmd() *cobra.Command {
	var all, groups bool
	cmd := &cobra.Command{
		Use:   "profiles [NAME...]",
		Short: "List or print the shipped profiles",
		Long: `profiles lists the profiles that are part of casemate, from the narrowest to the
widest. With names (line, or profile.line) it prints their source in the policy language;
with --source alone it prints the whole shipped file, which also holds acl.anyone,
acl.localhost, limit.default and limit.wait. With -o json profiles are printed resolved,
with everything they have from their bases, and with --source too as their source.

With --groups it lists the groups of system calls that syscalls { allow, deny }
may name, or those named: what each is for, its calls, the calls it allows by their
arguments alone, and the shipped profiles that have all of it. Of a system call, named
without @, it prints which groups have it and what it costs a profile to allow it.`,
		Example: `  casemate profiles
  casemate profiles line
  casemate profiles server -o json
  casemate profiles --source
  casemate profiles --groups @socket-unix
  casemate profiles --groups socket`,
		RunE: func(_ *cobra.Command, args []string) error {
			if groups {
				return a.groups(args)
			}
			chosen, err := chooseProfiles(args)
			if err != nil {
				return err
			}
			if all || len(args) > 0 && !a.json() {
				return a.source(chosen, len(args) == 0)
			}
			if a.json() {
				return a.printJSON(struct {
					FormatVersion int               `json:"format_version"`
					Profiles      []sandbox.Profile `json:"profiles"`
				}{1, chosen})
			}
			for _, p := range chosen {
				a.printf("%s\n", a.paint("1")("profile."+p.Name))
				for _, line := range explain.Layers(&p) {
					a.printf("  %s\n", line)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&groups, "groups", false, "list the groups of system calls")
	cmd.Flags().BoolVar(&all, "source", false, "print the source of the profiles named, or the whole shipped file")
	return cmd
}

// source prints the source of profiles, or all of the shipped file.
func (a *app) source(chosen []sandbox.Profile, whole bool) error {
	text := lang.Shipped()
	if !whole {
		var blocks [][]byte
		for _, p := range chosen {
			blocks = append(blocks, lang.ShippedBlock("profile", p.Name))
		}
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

// chooseProfiles picks shipped profiles by name; all when none is named.
func chooseProfiles(names []string) ([]sandbox.Profile, error) {
	profiles := lang.ShippedProfiles()
	if len(names) == 0 {
		return profiles, nil
	}
	var known []string
	byName := map[string]sandbox.Profile{}
	for _, p := range profiles {
		known = append(known, p.Name)
		byName[p.Name] = p
	}
	var chosen []sandbox.Profile
	for _, name := range names {
		name = strings.TrimPrefix(name, "profile.")
		p, ok := byName[name]
		if !ok {
			if w := suggest.Word(name, known); w != "" {
				return nil, fmt.Errorf("there is no shipped profile %q; did you mean %q?", name, w)
			}
			return nil, fmt.Errorf("there is no shipped profile %q; there are: %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}
