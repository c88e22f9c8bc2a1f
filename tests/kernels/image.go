package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"casemate/tests/root/rig"
)

//go:embed guest
var guest embed.FS

// suite is one test package that runs in a guest.
type suite struct {
	name, folder, tags string
	systemd            bool // in the guest with systemd; else in those without
	elsewhere          bool // it depends on the architecture, and make test has run it on this host's
	cgo                bool // it has a C side of its own, as those of elsewhere: it compiles filters
}

var suites = []suite{
	{name: "escape", folder: "tests/escape", cgo: true},
	{name: "seccomp", folder: "sandbox/seccomp", elsewhere: true},
	{name: "filter", folder: "sandbox/seccomp/filter", elsewhere: true},
	{name: "launch", folder: "sandbox/seccomp/launch", elsewhere: true},
	{name: "program", folder: "sandbox/seccomp/program", elsewhere: true},
	{name: "zygote", folder: "sandbox/zygote", elsewhere: true},
	{name: "sandbox", folder: "sandbox", elsewhere: true},
	{name: "root", folder: "tests/root"},
	{name: "unit", folder: "tests/kernels/unit", tags: "guest", systemd: true},
}

// unitFile is the shipped systemd unit.
const unitFile = "cmd/casemated/dist/casemated.service"

// leftOut is what no guest needs of a Debian.
var leftOut = []string{
	"boot", "proc", "sys", "run", "usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/info", "usr/share/i18n",
	"usr/share/zoneinfo", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl-base",
	"usr/lib/aarch64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/perl-base",
	"var/cache", "var/lib/apt", "var/lib/dpkg", "var/log", "etc/machine-id",
}

// content is what an image holds.
type content struct {
	on      *architecture
	tree    string   // a Debian 12
	libexec string   // folder of the product's binaries
	pattern string   // of the tests to run
	suites  []string // that are run, none for all
	kernels []kernel
	systemd bool
}

// write makes the initramfs: the tree, the product, the tests, their programs,
// and what starts them.
func (c *content) write(ctx context.Context, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	a.tree(c.tree, "", leftOut...)
	for _, k := range c.kernels {
		a.tree(k.modules, "casemate/modules/"+k.release)
	}
	for _, dir := range []string{"proc", "sys", "run", "var/log"} {
		a.parents(dir + "/x")
	}
	a.text("etc/machine-id", strings.Repeat("c", 32)+"\n", 0o444)
	a.text("etc/hostname", "guest\n", 0o644)
	a.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)
	a.text("casemate/run", c.pattern+"\n", 0o644)
	for _, name := range []string{"init", "steps", "report", "report.service"} {
		text, err := guest.ReadFile("guest/" + name)
		if err != nil {
			return err
		}
		to, mode := "casemate/"+name, uint32(0o755)
		switch name {
		case "init":
			to = name
		case "report.service":
			to, mode = "etc/systemd/system/"+name, 0o644
		}
		a.text(to, string(text), mode)
	}
	a.tree("examples", "casemate/examples")
	a.file("casemate/go.mod", "go.mod", 0o644)
	if err := a.product(c.libexec, c.systemd); err != nil {
		return err
	}
	if err := a.programs(c.on); err != nil {
		return err
	}
	if err := a.suites(ctx, c); err != nil {
		return err
	}
	return a.close()
}

// product adds the binaries: beside the tests, or installed with the unit.
func (a *archive) product(libexec string, systemd bool) error {
	for _, name := range []string{"casemate", "casemated", "casemate-worker", "casemate-filter", "inetd"} {
		to := "casemate/bin/" + name
		if systemd {
			to = "usr/libexec/casemate/" + name
		}
		a.file(to, filepath.Join(libexec, name), 0o755)
	}
	if !systemd {
		return a.err
	}
	if _, err := os.Stat(unitFile); err != nil {
		return fmt.Errorf("%w: the product ships no systemd unit to try", err)
	}
	a.link("usr/sbin/casemated", "../libexec/casemate/casemated")
	a.link("usr/bin/casemate", "../libexec/casemate/casemate")
	a.file("etc/systemd/system/casemated.service", unitFile, 0o644)
	a.link("etc/systemd/system/multi-user.target.wants/report.service", "/etc/systemd/system/report.service")
	return a.err
}

// programs adds the C programs of the tests, built here.
func (a *archive) programs(on *architecture) error {
	tmp, err := os.MkdirTemp("", "casemate-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var sources []string
	for _, s := range suites {
		entries, err := filepath.Glob(filepath.Join(s.folder, "testdata", "*"))
		if err != nil {
			return err
		}
		sources = append(sources, slices.DeleteFunc(entries, func(e string) bool { return filepath.Ext(e) == ".h" })...)
	}
	from := map[string]string{}
	for _, source := range sources {
		name := rig.ProgramName(source)
		if before := from[name]; before != "" {
			return fmt.Errorf("%s and %s make programs of one name", before, source)
		}
		from[name] = source
		out := filepath.Join(tmp, name)
		if err := rig.Build(on.compiler(), source, out); err != nil {
			return err
		}
		a.file("casemate/programs/"+name, out, 0o755)
	}
	return a.err
}

// suites adds the test programs of the guest and the list that the guest runs.
func (a *archive) suites(ctx context.Context, c *content) error {
	tmp, err := os.MkdirTemp("", "casemate-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	list := ""
	for _, s := range suites {
		if s.systemd != c.systemd || s.elsewhere && c.on.here() || len(c.suites) > 0 && !slices.Contains(c.suites, s.name) {
			continue
		}
		out := filepath.Join(tmp, s.name)
		args := append(c.on.environment(s.elsewhere || s.cgo), "go", "test", "-c", "-trimpath", "-tags", strings.TrimPrefix(s.tags+",netgo,osusergo", ","), "-o", out)
		if s.elsewhere || s.cgo { // with the C side, and no library of the guest's
			args = append(args, "-ldflags", `-linkmode external -extldflags "-static"`)
		}
		if _, err := output(ctx, "", "env", append(args, "./"+s.folder)...); err != nil {
			return err
		}
		a.file("casemate/"+s.name+".test", out, 0o755)
		a.parents("casemate/" + s.folder + "/x")
		list += s.name + " " + s.folder + "\n"
	}
	a.text("casemate/tests.list", list, 0o644)
	return a.err
}
