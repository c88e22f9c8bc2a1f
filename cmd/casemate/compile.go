package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"casemate/cmd/confine"
	"casemate/policy/granted"
	"casemate/policy/input"

	"github.com/spf13/cobra"
)

// maxRequest bounds what compile --stdin reads: the files in base64 and some.
const maxRequest = 2 * granted.MaxDocument

func (a *app) compileCmd() *cobra.Command {
	var stdin bool
	var write, sign string
	cmd := &cobra.Command{
		Use:   "compile [PATH...]",
		Short: "Print the compiled policy",
		Long: `compile turns policy files into the document that casemated runs: canonical JSON
of constants, its SHA-256 digest, and the file, line and column of every value. The
digest is of the policy inside alone: sha256sum of the document is another number.

With --write the document is in a file, which is replaced as a whole. With --sign as
well, a signature by that private key (ssh-keygen -t ed25519, without a passphrase) stands
beside it, in FILE.sig, for casemated --trust; a document that is compiled already is signed
as it is. With a public key (KEY.pub) the agent of SSH_AUTH_SOCK signs, also by a key in
hardware (sk-ssh-ed25519@openssh.com): those casemate check --trust admits, and casemated does
not. It is what ssh-keygen -Y sign -n casemate-policy -f KEY FILE writes, and ssh-keygen -Y
verify reads.

With --stdin it is the compiler that casemated starts in a sandbox: it reads one
JSON request with the files (or a compiled document, which it checks) from standard
input, writes one line of JSON with the diagnostics, behind it the document if there
is one, and exits with 0 when it wrote both.

Exit status: 0 done, 1 the policy is not valid.`,
		Example: `  casemate compile /etc/casemate > policy.json
  casemate compile policy.cm.hcl | jq .policy.services
  casemate compile --sign ~/.ssh/id_ed25519 --write policy.json /etc/casemate`,
		RunE: func(_ *cobra.Command, args []string) error {
			if stdin {
				if len(args) > 0 || write != "" || sign != "" {
					return errors.New("compile --stdin takes no paths and writes no files: all is in the request and the response")
				}
				return a.compileStdin()
			}
			if sign != "" && write == "" {
				return errors.New("compile --sign: name the document's file with --write, and the signature stands beside it")
			}
			if len(args) == 0 {
				args = []string{policyPath}
			}
			l, ds := a.loadReviewed(args)
			if l.doc == nil {
				return a.refuse(ds, nil)
			}
			a.diagnose(ds)
			b, err := l.text()
			if err != nil {
				return err
			}
			if b = append(b, '\n'); write != "" {
				return writeDocument(write, b, sign)
			}
			a.printf("%s", b)
			return nil
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		if stdin {
			return confine.Grant{}
		}
		g := reads(args)
		if sign != "" {
			g.Read = append(g.Read, sign)
		}
		if write != "" {
			g.Write = []string{filepath.Dir(write)}
		}
		return g
	}
	a.revisions(cmd, "")
	cmd.Flags().StringVar(&write, "write", "", "write the document to `file` (*.json) in place of standard output")
	cmd.Flags().StringVar(&sign, "sign", "", "sign it with the `key` of this file, a public one by an agent, in FILE.sig beside it")
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read a request from standard input, as casemated sends it")
	return cmd
}

// compileStdin answers one CompileRequest.
func (a *app) compileStdin() error {
	b, err := io.ReadAll(io.LimitReader(a.in, maxRequest+1))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if len(b) > maxRequest {
		return fmt.Errorf("read request: more than %d bytes", maxRequest)
	}
	var req input.CompileRequest
	if err := json.Unmarshal(b, &req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if req.FormatVersion != input.CompileFormat {
		return fmt.Errorf("read request: format_version %d is not known, expected %d", req.FormatVersion, input.CompileFormat)
	}
	l, ds := reviewed(req.Files)
	for i := range ds { // who starts casemated by hand sees what check shows
		var text bytes.Buffer
		(&app{err: &text}).diagnose(ds[i : i+1])
		ds[i].Text = text.String()
	}
	resp := input.CompileResponse{FormatVersion: input.CompileFormat}
	if len(ds) > 0 {
		if resp.Diagnostics, err = granted.Encode(ds); err != nil {
			return err
		}
	}
	var document []byte
	if l.doc != nil {
		if document, err = l.text(); err != nil {
			return err
		}
	}
	err = json.NewEncoder(a.out).Encode(resp)
	if err == nil {
		_, err = a.out.Write(document)
	}
	if err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	return nil
}
