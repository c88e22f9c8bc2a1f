package script

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/inject"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// alone is an editor that works in no directory.
const alone = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`

// TestConfined: while a verb waits for its input it can read what it was told to
// read, write what it writes, and nothing else. lsp is told by its editor, at the latest by the first
// file; until then it reads anything and writes nothing.
func TestConfined(t *testing.T) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 4 {
		need.Kernel(t, "the test is about Landlock with tcp, and it has ABI %d (%v)", abi, errno)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	silent := filepath.Join(t.TempDir(), "s")
	control, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	for name, c := range map[string]struct {
		verb         string
		reads, write bool
		editor       []string // what it says, and gets an answer to
		all          bool     // it reads anything
	}{
		"check":      {verb: "check LINK -", reads: true},
		"fmt":        {verb: "fmt LINK -", reads: true, write: true},
		"fmt file":   {verb: "fmt LINK/p.cm.hcl -", reads: true, write: true},
		"fmt check":  {verb: "fmt --check LINK -", reads: true},
		"compile":    {verb: "compile LINK -", reads: true},
		"stdin":      {verb: "compile --stdin"},
		"status":     {verb: "status --control " + silent},
		"explain":    {verb: "explain e 192.0.2.1 LINK -", reads: true},
		"diff":       {verb: "diff LINK -", reads: true},
		"diff git":   {verb: "diff - git:HEAD:LINK"},
		"profiles":   {verb: "profiles --policy LINK --policy -", reads: true},
		"report":     {verb: "report LINK -", reads: true},
		"lsp":        {verb: "lsp", reads: true, editor: []string{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"rootUri":"file://LINK"}}`}},
		"lsp opened": {verb: "lsp", reads: true, editor: []string{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"workspaceFolders":[{"uri":"file://LINK","name":"x"}]}}`}},
		"lsp alone":  {verb: "lsp", reads: true, all: true, editor: []string{alone}},
		"lsp file":   {verb: "lsp", reads: true, editor: []string{alone, `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file://LINK/p.cm.hcl","languageId":"hcl","version":1,"text":"x"}}}`}},
		"lsp before": {verb: "lsp", reads: true, all: true},
		"unconfined": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			told, other := filepath.Join(dir, "told"), filepath.Join(dir, "other")
			for _, d := range []string{told, other} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(d, "p.cm.hcl"), []byte("policy { edition = 1 }\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(dir, "link")
			if err := os.Symlink(told, link); err != nil {
				t.Fatal(err)
			}
			free := c.verb == ""
			cmd := exec.Command("sleep", "1000")
			if !free {
				cmd = exec.Command(filepath.Join(bin, "casemate"), strings.Fields(strings.ReplaceAll(c.verb, "LINK", link))...)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			answers, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			said := bufio.NewReader(answers)
			for _, asks := range c.editor {
				asks = strings.ReplaceAll(asks, "LINK", link)
				n := 0
				_, err := fmt.Fprintf(in, "Content-Length: %d\r\n\r\n%s", len(asks), asks)
				if err == nil {
					_, err = fmt.Fscanf(said, "Content-Length: %d\r\n\r\n", &n)
				}
				if err == nil {
					_, err = io.CopyN(io.Discard, said, int64(n))
				}
				if err != nil {
					t.Fatalf("%s: %v", asks, err)
				}
			}
			p := inject.Stop(t, cmd.Process.Pid, !free)
			may := func(yes bool) error {
				if yes || free {
					return nil
				}
				return unix.EACCES
			}
			p.Open(filepath.Join(other, "p.cm.hcl"), unix.O_PATH, nil) // it is there
			p.Open(filepath.Join(other, "p.cm.hcl"), unix.O_RDONLY, may(c.all))
			p.Open("/etc/passwd", unix.O_RDONLY, may(c.all))
			p.Open(filepath.Join(other, "p.cm.hcl"), unix.O_WRONLY, may(false))
			p.Open(filepath.Join(other, "new"), unix.O_WRONLY|unix.O_CREAT, may(false))
			p.Open(filepath.Join(told, "p.cm.hcl"), unix.O_RDONLY, may(c.reads))
			p.Open(filepath.Join(told, "p.cm.hcl"), unix.O_WRONLY, may(c.write))
			p.Open(filepath.Join(told, "new"), unix.O_WRONLY|unix.O_CREAT, may(c.write))
			p.Connect(l.Addr().(*net.TCPAddr).Port, may(false))
		})
	}
}
