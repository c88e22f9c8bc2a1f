package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/importer"

	"github.com/spf13/cobra"
)

func (a *app) importHost(strict *bool) *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use:   "host [--root DIR]",
		Short: "Everything that a host has of these",
		Long: `host writes one policy of all that it finds on this host, or below a directory that is the
root of one: /etc/inetd.conf and /etc/inetd.d, /etc/xinetd.conf and what it includes,
hosts.allow and hosts.deny, and those of systemd's socket units that are enabled and start
a program for each connection. Where two of them claim one address, nothing here tells which
one ran: the service is served that admits no client whom the other one denies, or, where
neither does, nobody is. The other stands in a comment.`,
		Example: `  casemate import host >site.cm.hcl
  casemate import host --root /srv/old-host --strict`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("import host takes no paths: write --root %s", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			dir, err := os.OpenRoot(root) // no link leads out of it
			if err != nil {
				return fmt.Errorf("import host: %w", err)
			}
			defer dir.Close()
			r, err := importer.Host(dir.FS())
			return a.imported(r, err, *strict)
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "the root of the host")
	a.grants[cmd] = func([]string) confine.Grant { return confine.Grant{Read: []string{root}} }
	return cmd
}

func (a *app) importSystemd(strict *bool) *cobra.Command {
	var units []policy.SourceFile
	var failed error
	cmd := &cobra.Command{
		Use:   "systemd UNIT...",
		Short: "Socket units of systemd with the services that they start",
		Long: `systemd writes a service for each .socket: with Accept=yes one program for each connection,
else one that takes its clients itself (wait = true). UNIT is the path of a unit file; the
.service that it starts is read from the same directory, or given as well. A directory
stands for its .socket files.

IPAddressAllow and IPAddressDeny become the acl, MaxConnections and TriggerLimit the limit,
and what is above them is shed: nothing fails for good. Of the service's hardening little is
left to say, for a profile shows only what it names.`,
		Example: `  casemate import systemd /lib/systemd/system/ssh.socket`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(*cobra.Command, []string) error {
			if failed != nil {
				return failed
			}
			r, err := importer.Systemd(units)
			return a.imported(r, err, *strict)
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		units, failed = readUnits(args)
		return confine.Grant{}
	}
	return cmd
}

// readUnits reads unit files, and for a socket unit the service beside it.
func readUnits(args []string) (out []policy.SourceFile, err error) {
	seen := map[string]bool{}
	for i := 0; i < len(args); i++ {
		path := args[i]
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			found, err := filepath.Glob(filepath.Join(path, "*.socket"))
			if err == nil && len(found) == 0 {
				err = errors.New("there is no .socket file in it")
			}
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			args = slices.Replace(slices.Clone(args), i, i+1, found...)
			path = args[i]
		}
		text, err := readTable(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if !seen[path] {
			out = append(out, policy.SourceFile{Name: path, Data: text})
		}
		seen[path] = true
		if !strings.HasSuffix(path, ".socket") {
			continue
		}
		service, _ := importer.SystemdService(path, text)
		beside := filepath.Join(filepath.Dir(path), service)
		text, err = readTable(beside)
		switch {
		case errors.Is(err, fs.ErrNotExist) || seen[beside]:
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", beside, err)
		default:
			seen[beside] = true
			out = append(out, policy.SourceFile{Name: beside, Data: text})
		}
	}
	return out, nil
}
