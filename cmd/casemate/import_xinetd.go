package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"casemate/cmd/confine"
	"casemate/policy/importer"

	"github.com/spf13/cobra"
)

// hostsFlags name what else of the host an import has use of.
type hostsFlags struct {
	allow, deny, services string
	zone                  string
	tables                *hostTables
	ports                 []byte
	err                   error
}

func (h *hostsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.allow, "hosts-allow", "", "the host's hosts.allow, where the services ask it")
	cmd.Flags().StringVar(&h.deny, "hosts-deny", "", "the host's hosts.deny, likewise")
	cmd.Flags().StringVar(&h.services, "services", "", "the host's /etc/services, for the names of ports")
}

// read reads them before the confinement.
func (h *hostsFlags) read() {
	if (h.allow == "") != (h.deny == "") {
		h.err = errors.New("--hosts-allow and --hosts-deny go together: what one does not decide, the other does")
		return
	}
	if h.allow != "" {
		h.tables = readHostTables(h.allow, h.deny, false)
		h.err = h.tables.err
	}
	if h.services != "" {
		var err error
		if h.ports, err = readTable(h.services); err != nil {
			h.err = fmt.Errorf("read %s: %w", h.services, err)
		}
	}
}

// facts are what was read.
func (h *hostsFlags) facts(a *app) (importer.Facts, error) {
	f := importer.Facts{Services: h.ports, Zone: h.zone}
	if h.tables != nil {
		a.absent(h.tables)
		f.Hosts = &importer.Hosts{Allow: h.tables.allow, Deny: h.tables.deny}
	}
	return f, h.err
}

// absolute are paths that are there, as the importers' file system has them.
func absolute(args []string) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		_, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if out[i], err = filepath.Abs(a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rootFS is the file system from "/", within what the confinement leaves of it.
func rootFS() fs.FS { return os.DirFS("/") }

func (a *app) importXinetd(strict *bool) *cobra.Command {
	var hosts hostsFlags
	var group string
	var members []byte
	var missing error
	cmd := &cobra.Command{
		Use:   "xinetd FILE|DIR...",
		Short: "xinetd.conf, and what it includes",
		Long: `xinetd writes a service for each one that xinetd would serve, with an acl of only_from and
no_access, a limit of instances, per_source and cps, and a shipped profile to narrow. A
directory stands for its files, as includedir has it. Services that are switched off have
disable = true: they are checked, and not served.

The files of banner, banner_success and banner_fail are read, and their texts stand in the
services.

access_times become rules with during, by the clocks of --zone. What would open a service
wider if it were left out (IDONLY, access_times without --zone) leaves it with
acl = acl.nobody; what casemate does not do at all (RPC, SENSOR) stands
in a comment. The report says why, and what to write instead.

An xinetd that is built with libwrap asks hosts.allow and hosts.deny as well: name them with
--hosts-allow and --hosts-deny, and the acls hold both.`,
		Example: `  casemate import xinetd /etc/xinetd.conf --hosts-allow /etc/hosts.allow --hosts-deny /etc/hosts.deny`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			facts, err := hosts.facts(a)
			if err = cmp.Or(err, missing); err != nil {
				return err
			}
			facts.Group = members
			paths, err := absolute(args)
			if err != nil {
				return err
			}
			r, err := importer.Xinetd(rootFS(), paths, facts)
			return a.imported(r, err, *strict)
		},
	}
	hosts.add(cmd)
	cmd.Flags().StringVar(&hosts.zone, "zone", "", "the zone of the host's clocks, for access_times, as Europe/Berlin")
	cmd.Flags().StringVar(&group, "group", "", "the host's /etc/group, for services with groups = yes")
	a.grants[cmd] = func(args []string) confine.Grant {
		hosts.read()
		if group != "" {
			members, missing = readTable(group)
		}
		return confine.Grant{Read: xinetdReads(args)}
	}
	return cmd
}

// xinetdReads are the files and directories that an import of xinetd's reads: what they include, and what their services
// send to clients.
func xinetdReads(args []string) []string {
	for i, out := 0, slices.Clone(args); ; i++ {
		if i == len(out) || i == 1024 {
			return out
		}
		files := []string{out[i]}
		if entries, err := os.ReadDir(out[i]); err == nil {
			files = nil
			for _, e := range entries {
				files = append(files, filepath.Join(out[i], e.Name()))
			}
		}
		for _, name := range files {
			text, err := readTable(name)
			if err != nil {
				continue // whoever reads it says why
			}
			for _, more := range append(importer.XinetdIncludes(text), importer.XinetdBanners(text)...) {
				if !slices.Contains(out, more) {
					out = append(out, more)
				}
			}
		}
	}
}
