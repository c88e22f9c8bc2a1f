package root

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// program is a folder of examples/services whose program has no rights at all: its README's "Prepare" and "Ask" are
// run as they are written, as root in namespaces of the test's own.
type program struct {
	folder, service string
	port            string   // where its program waits for what a client says; "" is that it does not, or has rights
	needs           []string // programs of the server's and the client's packages
	want            []string // what "Ask" prints, in this order
}

var programs = []program{
	{"busybox-httpd", "site", "8081", []string{"busybox", "curl"}, []string{"<p>site</p>\n", "400\n"}},
	{"cvs", "cvs", "2401", []string{"cvs", "useradd"}, []string{"versioned\n", "total revisions: 3"}},
	{"distccd", "distcc", "3632", []string{"distccd", "distcc", "gcc"}, []string{"answer 42\n"}},
	{"fingerd", "finger", "79", []string{"in.fingerd", "finger", "nc"}, []string{"Login: root", "Login: nobody", "Login: daemon"}},
	{"git", "projects", "9418", []string{"git"}, []string{"content\n", "refused\n", "none\n"}},
	{"git-http", "git-http", "8082", []string{"git", "busybox", "/usr/lib/git-core/git-http-backend"}, []string{"content\n", "refused\n"}},
	{"go", "words", "7004", []string{"go", "nc"}, []string{"3\n0\n1\n"}},
	{"gophernicus", "gopher", "70", []string{"gophernicus", "curl"}, []string{"welcome to the hole", "/notes/first.txt", "a note", "Access denied"}},
	{"guestbook", "guestbook", "7008", []string{"nc"}, []string{"Ada was here\n1 in all\n", "Ada was here\nand so was Bob\n2 in all\n"}},
	{"health", "health", "", []string{"haproxy", "nc"}, []string{"25%\n", "weight 25 (initial 100)"}},
	{"java", "sorter", "7009", []string{"java", "nc"}, []string{"one three two\na b\n"}},
	{"micro-httpd", "http", "80", []string{"micro-httpd", "curl"}, []string{"<p>casemate</p>\n", "404\n", "400 Bad Request"}},
	{"node", "upper", "7005", []string{"node", "nc"}, []string{`{"text":"HELLO","length":5}`}},
	{"nullidentd", "ident", "113", []string{"nullidentd", "nc"}, []string{"6193, 23 : USERID : UNIX : foobar"}},
	{"perl", "phone", "7002", []string{"perl", "nc"}, []string{"Alice 1234\nasked in 20"}},
	{"popa3d", "pop3", "", []string{"popa3d", "curl", "useradd", "openssl"}, []string{"Subject: hello", "body"}},
	{"python", "factor", "7001", []string{"/usr/bin/python3", "nc"}, []string{"3607\n2 3 3 5 3607 3803\nnot a number\n"}},
	{"redirect", "web", "", []string{"haproxy", "curl"}, []string{"you are 127.0.0.1 from port 401xx\n"}},
	{"rsync", "rsync", "873", []string{"rsync"}, []string{"hello\n", "same\n", "refused\n"}},
	{"shell", "today", "7003", []string{"nc"}, []string{"hello casemate\nit is 20", "JST\n", "hello xid\n"}},
	{"stunnel", "tls", "", []string{"stunnel4", "micro-httpd", "openssl", "curl"}, []string{"through TLS\n"}},
	{"svnserve", "svn", "3690", []string{"svnserve", "svn", "svnadmin"}, []string{"Checked out revision 0", "Committed revision 1", "content\n", "r1 | (no author)"}},
}

// TestProgramExamples serves the examples together, unmodified programs each under the profile of
// its folder, and asks each as its README says.
func TestProgramExamples(t *testing.T) {
	rig.Root(t)
	// The machines of tests/kernels have every package, but not a Go that compiles what go.mod asks for.
	programs := slices.DeleteFunc(slices.Clone(programs), func(p program) bool { return p.folder == "go" && !installed(p.needs) })
	for _, p := range programs {
		need.Programs(t, p.needs...)
	}
	if !alone(t) {
		return
	}
	ownEtc(t)
	privately(t, "/srv")
	privately(t, "/var/mail")
	if err := os.MkdirAll(sandbox.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	privately(t, sandbox.StateDir)
	need.IDMaps(t, sandbox.StateDir)
	const head = "policy { edition = 1 }\n"
	files := map[string]string{"policy.cm.hcl": head}
	homes := map[string]string{}
	for _, p := range programs {
		for name, text := range written(t, filepath.Join("services", p.folder)) {
			files[name] = strings.Replace(text, head, "", 1)
		}
		homes[p.folder] = t.TempDir()
		p.steps(t, "Prepare", homes[p.folder])
	}
	b := rig.ServeWith(t, rig.Options{Files: files})
	t.Run("asked", func(t *testing.T) {
		for _, p := range programs {
			t.Run(p.folder, func(t *testing.T) {
				t.Parallel()
				inOrder(t, p.steps(t, "Ask", homes[p.folder]), p.want)
				if p.port != "" {
					watched(t, b, p.service, p.port)
				}
			})
		}
	})
}

// steps runs the commands of a section in the home and returns what they print. EXAMPLE is the
// example's folder.
func (p *program) steps(t *testing.T, name, home string) string {
	t.Helper()
	folder := filepath.Join(rig.Top(t), "examples", "services", p.folder)
	commands := section(t, p.folder, name)
	if commands == "" {
		return ""
	}
	cmd := exec.Command("timeout", "60", "sh", "-e", "-c", commands)
	cmd.Dir, cmd.Env = home, append(os.Environ(), "EXAMPLE="+folder, "LC_ALL=C")
	if name == "Ask" { // no client asks with the caller's own settings; go build has its cache
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	cmd.WaitDelay = 10 * time.Second // of what it left in the background with its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s, %s: %v\n%s", p.folder, name, err, out)
	}
	return string(out)
}
