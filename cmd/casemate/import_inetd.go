package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"casemate/cmd/confine"
	"casemate/policy/importer"
	"casemate/policy/inetd"
	"casemate/policy/input"

	"github.com/spf13/cobra"
)

func (a *app) importInetd(strict *bool) *cobra.Command {
	var hosts hostsFlags
	var dialect string
	cmd := &cobra.Command{
		Use:   "inetd FILE|DIR...",
		Short: "inetd.conf, in the dialect of any inetd",
		Long: `inetd writes a service for each entry, with a shipped profile to narrow, and the limit that
the entry has as a source of a policy: limit.classic with the entry's own numbers. Entries that are switched off stand in comments. A directory stands for
all its files, as /etc/inetd.d does.

An entry with tcpd in front of its program asks hosts.allow and hosts.deny: name them with
--hosts-allow and --hosts-deny, or it admits nobody. Any other entry admits everybody, as
inetd does.

The same words mean different things to different inetds (which addresses tcp is, how many
words are quoted); the dialect is told by what the file writes, or by --dialect.

casemated also takes an inetd.conf as it is, beside a policy whose services extend its
entries: an import is for who wants to leave the table behind.`,
		Example: `  casemate import inetd /etc/inetd.conf --hosts-allow /etc/hosts.allow --hosts-deny /etc/hosts.deny
  casemate import inetd --dialect freebsd inetd.conf`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if dialect != "" && !slices.Contains(inetd.Dialects, inetd.Dialect(dialect)) {
				return fmt.Errorf("dialect %q is not known: write one of %v", dialect, inetd.Dialects)
			}
			facts, err := hosts.facts(a)
			if err != nil {
				return err
			}
			var sources []inetd.Source
			for _, path := range args {
				if sources, err = inetdSources(sources, path); err != nil {
					return err
				}
			}
			r, err := importer.Inetd(sources, inetd.Dialect(dialect), facts)
			return a.imported(r, err, *strict)
		},
	}
	hosts.add(cmd)
	cmd.Flags().StringVar(&dialect, "dialect", "", "debian, openbsd, freebsd, netbsd, gnu or busybox")
	a.grants[cmd] = func(args []string) confine.Grant {
		hosts.read()
		return confine.Grant{Read: args}
	}
	return cmd
}

// inetdSources reads a file, or the regular files of a directory.
func inetdSources(to []inetd.Source, path string) ([]inetd.Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	names := []string{path}
	if info.IsDir() {
		names = nil
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, filepath.Join(path, e.Name()))
			}
		}
	}
	for _, name := range names {
		text, err := readTable(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if to = append(to, inetd.Source{Name: name, Data: text}); len(to) > maxInetdFiles || total(to) > input.MaxSourceAll {
			return nil, fmt.Errorf("read %s: more than %d files, or than %d bytes in all", name, maxInetdFiles, input.MaxSourceAll)
		}
	}
	return to, nil
}

const maxInetdFiles = 1024

func total(sources []inetd.Source) (n int) {
	for _, s := range sources {
		n += len(s.Data)
	}
	return n
}
