package main

import (
	"context"
	"embed"
	"errors"
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

// content is what the disk of the machines of an architecture holds beyond a Debian.
type content struct {
	on      *architecture
	libexec string   // folder of the product's binaries
	pattern string   // of the tests to run
	suites  []string // that are run, none for all
	kernels []kernel
	whole   bool // every package that a test needs is in the Debian
}

// diskSize is that of a disk, most of which takes no room on this host.
const diskSize = "8G"

// apart are the packages that make deps-test unpacks and does not install.
const apart = ".cache/apart"

// disk makes a file system for the machines to have as their root: a Debian's tree, and in it the kernels' modules, the product, the repository, the
// tests, their programs, and what starts them.
func (c *content) disk(ctx context.Context, tree, image string) error {
	// Beside the tree, whose files it has as links.
	tmp, err := os.MkdirTemp(filepath.Dir(tree), "root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root := folder{top: filepath.Join(tmp, "root"), ctx: ctx}
	root.run("cp", "-alH", tree, root.top)
	for _, k := range c.kernels {
		root.tree(k.modules, "usr/lib/modules/"+k.release)
		if c.on.here() { // else the guest does it
			root.run("chroot", root.top, "/sbin/depmod", k.release)
		}
	}
	root.text("etc/machine-id", strings.Repeat("c", 32)+"\n", 0o444)
	root.text("etc/hostname", "guest\n", 0o644)
	root.text("etc/hosts", "127.0.0.1 localhost guest\n::1 localhost\n", 0o644)
	for _, e := range []string{"acl", "cmd", "examples", "listener", "policy", "sandbox", "tests", "go.mod", "go.sum", "Makefile"} {
		root.tree(e, "casemate/"+e)
	}
	if _, err := os.Stat(apart); err == nil && c.on.here() {
		root.tree(apart, "casemate/"+apart)
	}
	root.text("casemate/run", c.pattern+"\n", 0o644)
	if c.whole {
		root.text("casemate/whole", "", 0o644)
	}
	for name, to := range map[string]string{"steps": "casemate/", "report": "casemate/", "report.service": "etc/systemd/system/"} {
		text, err := guest.ReadFile("guest/" + name)
		root.keep(err)
		root.text(to+name, string(text), 0o755)
	}
	c.product(&root)
	if err := errors.Join(c.programs(&root), c.tests(ctx, &root), root.err); err != nil {
		return err
	}
	// Sparse, and with room for what the tests write.
	if _, err = output(ctx, "", "mkfs.ext4", "-q", "-F", "-d", root.top, image+".new", diskSize); err != nil {
		return err
	}
	return os.Rename(image+".new", image) // a machine that runs keeps the one it has
}

// product adds the binaries: beside the tests, and installed with the unit.
func (c *content) product(root *folder) {
	for _, name := range []string{"casemate", "casemated", "casemate-worker", "casemate-filter", "inetd"} {
		for _, to := range []string{"casemate/bin/", "usr/libexec/casemate/"} {
			root.file(to+name, filepath.Join(c.libexec, name), 0o755)
		}
	}
	root.link("usr/sbin/casemated", "../libexec/casemate/casemated")
	root.link("usr/bin/casemate", "../libexec/casemate/casemate")
	root.file("etc/systemd/system/casemated.service", unitFile, 0o644)
}

// programs adds the C programs of the tests, built here.
func (c *content) programs(root *folder) error {
	tmp, err := os.MkdirTemp("", "casemate-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	from := map[string]string{}
	for _, s := range suites {
		entries, err := filepath.Glob(filepath.Join(s.folder, "testdata", "*"))
		if err != nil {
			return err
		}
		for _, source := range entries {
			if ext := filepath.Ext(source); ext != ".c" && ext != "" { // C files, and folders of them
				continue
			}
			name := rig.ProgramName(source)
			if before := from[name]; before != "" {
				return fmt.Errorf("%s and %s make programs of one name", before, source)
			}
			from[name] = source
			out := filepath.Join(tmp, name)
			if err := rig.Build(c.on.compiler(), source, out); err != nil {
				return err
			}
			root.file("casemate/programs/"+name, out, 0o755)
		}
	}
	return nil
}

// tests adds the test programs and the lists of them: tests.list, and of those for the machine with systemd unit.list.
func (c *content) tests(ctx context.Context, root *folder) error {
	tmp, err := os.MkdirTemp("", "casemate-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	lists := map[bool]string{}
	for _, s := range suites {
		if s.elsewhere && c.on.here() || len(c.suites) > 0 && !slices.Contains(c.suites, s.name) {
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
		root.file("casemate/"+s.name+".test", out, 0o755)
		lists[s.systemd] += s.name + " " + s.folder + "\n"
	}
	root.text("casemate/tests.list", lists[false], 0o644)
	root.text("casemate/unit.list", lists[true], 0o644)
	return nil
}

// initrd makes what a kernel starts with: it mounts the disk, which all machines have, and adds which tests this one leaves out.
func (k kernel) initrd(tree, to string, skips map[string]string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	text, err := guest.ReadFile("guest/init")
	a.keep(err)
	a.text("init", string(text), 0o755)
	for suite, pattern := range skips {
		a.text("skip/"+suite, pattern+"\n", 0o644)
	}
	a.file("bin/busybox", filepath.Join(tree, "bin/busybox"), 0o755)
	// What mounts the disk, where that is not built in.
	for _, part := range []string{"drivers/acpi/nfit", "drivers/nvdimm", "drivers/virtio", "drivers/block/virtio_blk.ko*", "fs/ext4", "fs/jbd2", "fs/mbcache.ko*", "lib/*crc*", "crypto/*crc*", "arch/*/crypto/*crc*"} {
		found, err := filepath.Glob(filepath.Join(k.modules, "kernel", part))
		a.keep(err)
		for _, top := range found {
			a.keep(filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					a.file("lib/modules/"+k.release+strings.TrimPrefix(path, k.modules), path, 0o644)
				}
				return err
			}))
		}
	}
	return a.close()
}
