package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"casemate/policy/inetd"
	"casemate/policy/input"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// What an inetd reads without being told.
const (
	usualTable  = "/etc/inetd.conf"
	usualTables = "/etc/inetd.d"
)

// usual is what holds without a flag, and where a site's own policy says nothing else.
const usual = `# What an inetd does where nobody says otherwise. A block of the policy goes before it.
policy { edition = 1 }

inetd {
  yields           = true
  acl              = acl.anyone
  hosts_access     = "compat"
  hosts_access_for = [%s]
  unreadable       = "skip"
}
`

// usualPolicy is usual for whose inetd it is.
func (s *settings) usualPolicy() string {
	asked := `"tcpd"`
	if s.flagsOf == inetd.NetBSD { // asks for every program by itself
		asked = `"programs", "tcpd"`
	}
	return fmt.Sprintf(usual, asked)
}

// flagsPolicy is what the flags say, "" where they say nothing.
func (s *settings) flagsPolicy() string {
	var b strings.Builder
	say := func(name string, value any) { fmt.Fprintf(&b, "  %s = %v\n", name, value) }
	if s.programs || s.internals {
		asked := `"tcpd"`
		if s.internals {
			asked = `"internal", ` + asked
		}
		if s.programs || s.flagsOf == inetd.NetBSD {
			asked = strings.Replace(asked, `"tcpd"`, `"programs", "tcpd"`, 1)
		}
		say("acl", "acl.anyone")
		say("hosts_access", `"compat"`)
		say("hosts_access_for", "["+asked+"]")
	}
	if s.strict {
		say("unreadable", `"refuse"`)
	}
	if s.dialect != "" {
		say("dialect", fmt.Sprintf("%q", s.dialect))
	}
	if s.address.IsValid() {
		say("address", fmt.Sprintf("%q", s.address))
	}
	if s.backlog != unset {
		say("backlog", s.backlog)
	}
	if s.concurrent != unset {
		say("concurrent", s.concurrent)
	}
	if s.rate != "" {
		say("rate", fmt.Sprintf("%q", s.rate))
	}
	if s.perSource != unset || s.sourceRate != "" {
		b.WriteString("  per_source {\n")
		if s.perSource != unset {
			say("  concurrent", s.perSource)
		}
		if s.sourceRate != "" {
			say("  rate", fmt.Sprintf("%q", s.sourceRate))
		}
		b.WriteString("  }\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return "# What the flags of inetd say.\npolicy { edition = 1 }\n\ninetd {\n" + b.String() + "}\n"
}

// sources writes what the flags mean below the runtime directory, and returns it with all
// else that casemated reads. The folder is called by what is in it: another inetd with other flags
// has another one, and what casemated reads again on a HUP is what it was started with.
func (s *settings) sources() (folder string, paths []string, err error) {
	files := map[string]string{"usual" + input.SourceSuffix: s.usualPolicy()}
	if flags := s.flagsPolicy(); flags != "" {
		files["flags"+input.SourceSuffix] = flags
	}
	tables, err := s.tables()
	if err != nil {
		return "", nil, err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q", files, tables))
	folder = filepath.Join(filepath.Dir(s.control), fmt.Sprintf("inetd-%x", key[:8]))
	for name, text := range files {
		if err := put(folder, name, text); err != nil {
			return "", nil, err
		}
	}
	paths = []string{folder}
	if s.policy != "" {
		paths = append(paths, s.policy)
	} else if holdsPolicy(input.DefaultPath) {
		paths = append(paths, input.DefaultPath)
	}
	for i, t := range tables {
		if t, err = named(folder, i, t); err != nil {
			return "", nil, err
		}
		paths = append(paths, t)
	}
	paths = append(paths, "/etc/hosts.allow", "/etc/hosts.deny")
	for _, p := range []string{"/etc/services", "/etc/protocols"} {
		if there(p) {
			paths = append(paths, p)
		}
	}
	return folder, paths, nil
}

// tables are those that the command line names, or the usual ones.
func (s *settings) tables() ([]string, error) {
	if len(s.configs) > 0 {
		return s.configs, nil
	}
	switch {
	case there(usualTable):
		return []string{usualTable, usualTables}, nil
	case there(usualTables):
		return []string{usualTables}, nil
	}
	return nil, fmt.Errorf("neither %s nor %s is there: write one, or name a table", usualTable, usualTables)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// holdsPolicy tells whether a directory has something for casemated to read. What is wrong
// with it is for casemated to say.
func holdsPolicy(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer d.Close()
	names, _ := input.SourceNames(d)
	return len(names) > 0
}

// put writes a file of the folder, unless it is there already: another casemated may be
// reading it.
func put(folder, name, text string) error {
	dir, err := hostpath.Make(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	if had, err := os.ReadFile(filepath.Join(folder, name)); err == nil && string(had) == text {
		return nil
	}
	return write(dir, name, text)
}

func write(dir *hostpath.File, name, text string) error {
	f, err := dir.Create(name, unix.O_WRONLY|unix.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// named is a table by a name that says it is one: to casemated a file called otherwise is a
// policy. Such a table has a link in the folder, the n-th.
func named(folder string, n int, table string) (string, error) {
	st, err := os.Stat(table)
	if err != nil {
		if input.MayMiss(table) && errors.Is(err, fs.ErrNotExist) {
			return table, nil
		}
		return "", err
	}
	link := filepath.Base(table) + ".inetd"
	switch {
	case st.IsDir() && filepath.Base(table) == "inetd.d", !st.IsDir() && input.IsTable(table):
		return table, nil
	case st.IsDir():
		link = "inetd.d"
	case input.IsDocument(table), strings.HasSuffix(table, input.SourceSuffix):
		return "", fmt.Errorf("%s is a policy and no inetd.conf: name it with --policy", table)
	}
	at := filepath.Join(folder, fmt.Sprint(n))
	dir, err := hostpath.Make(at)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	link = filepath.Join(at, link)
	if had, err := os.Readlink(link); err == nil && had == table {
		return link, nil
	}
	return link, os.Symlink(table, link)
}
