package main

import (
	"context"
	"io"
	"os"
	"time"

	"casemate/cmd/casemate/lsp"
	"casemate/cmd/confine"
	"casemate/cmd/version"
	"casemate/policy"
	"casemate/policy/editor"
	"casemate/policy/input"
	"casemate/policy/netdb"

	"github.com/spf13/cobra"
)

// servicesPath names ports (services(5)).
const servicesPath = "/etc/services"

// lspCmd is the language server. What it may read is known once the editor has said where it works, so it is confined
// twice: at first from writing anything and from tcp, then from all but these directories.
func (a *app) lspCmd(confined func(confine.Grant) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lsp",
		Short: "Language server for editors",
		Long: `lsp speaks the Language Server Protocol with the editor that starts it, on standard input and
output, about policy files (*.cm.hcl). A directory is one policy, as for check, with what the
editor has not saved in place of its files. It gives

  what check finds, as it is typed
  on hover: what an attribute is for, the value in force and where that was written
  completion: blocks, attributes, words, names of blocks, locals, ports and system calls
  the definition of what is named, and a new name for it in all files
  an outline, and the layout of fmt

It reads the directories that the editor works in (where it names none, that of the first file)
and /etc/services, writes nothing, and has no tcp.`,
		Example: `  casemate lsp
  nvim: vim.lsp.start_client({ cmd = { "casemate", "lsp" }, root_dir = vim.fn.getcwd() })`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			stream := struct {
				io.Reader
				io.Writer
				io.Closer
			}{a.in, a.out, io.NopCloser(nil)}
			if c, ok := a.in.(io.Closer); ok {
				stream.Closer = c
			}
			return lsp.Serve(context.Background(), stream, lsp.Config{
				Workspace: &editor.Workspace{Read: editor.ReadDir, Check: judged, Services: hostPorts},
				Confine: func(dirs []string) error {
					return confined(confine.Grant{Read: append(dirs, servicesPath)})
				},
				Version: version.Word(), Log: a.err,
			})
		},
	}
	a.grants[cmd] = func([]string) confine.Grant { return confine.Grant{Read: []string{"/"}} }
	return cmd
}

// judged is what check finds of policy files, without what their waivers accept.
func judged(files []policy.SourceFile) (*policy.Document, []policy.Diagnostic) {
	l, ds := reviewed(files)
	var found []policy.Diagnostic
	for _, f := range (&checkOptions{}).findings(l, ds, nil, time.Now()) {
		if f.Waived == nil {
			found = append(found, f.Diagnostic)
		}
	}
	return l.doc, found
}

// hostPorts are the names of ports of this host, none where it has no such file.
func hostPorts() []string {
	text, err := os.ReadFile(servicesPath)
	if err != nil || len(text) > input.MaxSourceFile {
		return nil
	}
	s, _ := netdb.ParseServices(text)
	return s.Names()
}
