package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// series is one kernel that Debian 12 offers, and the name of its machine.
type series struct {
	name, version, release string
	on                     *architecture
}

// serieses are the kernels of the matrix: Debian 12's own, and its backports'.
var serieses = []series{{"6.1", "6.1", "", amd64}, {"6.12", "6.12", "bookworm-backports", amd64}, {"arm64", "6.1", "", arm64}}

// kernel is one that is here.
type kernel struct {
	series, image string
	modules       string // folder with all its modules
	release       string // as uname(1) says it
}

// obtain returns the newest kernel of the series, from the cache if it is there.
func (s series) obtain(ctx context.Context, cache string) (kernel, error) {
	apt, err := s.on.apt(ctx, cache)
	if err != nil {
		return kernel{}, err
	}
	if s.release != "" {
		apt = append(apt, "-o", "APT::Default-Release="+s.release)
	}
	meta := "linux-image-cloud-" + s.on.name
	text, err := output(ctx, "", "apt-cache", append(apt, "depends", "-q", meta)...)
	if err != nil {
		return kernel{}, err
	}
	_, pkg, ok := strings.Cut(text, "Depends: ")
	pkg, _, _ = strings.Cut(pkg, "\n")
	release := strings.TrimPrefix(pkg, "linux-image-")
	if !ok || !strings.HasPrefix(release, s.version+".") {
		return kernel{}, fmt.Errorf("no kernel %s among the sources of apt: %s depends on %q", s.version, meta, pkg)
	}
	dir := filepath.Join(cache, "kernel-"+release)
	k := kernel{series: s.name, image: filepath.Join(dir, "vmlinuz"), modules: filepath.Join(dir, "modules"), release: release}
	if _, err := os.Stat(dir); err == nil {
		return k, nil
	}
	return k, unpackKernel(ctx, apt, pkg, release, dir)
}

// unpackKernel downloads a kernel's package and takes out of it what is needed.
func unpackKernel(ctx context.Context, apt []string, pkg, release, dir string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := output(ctx, tmp, "apt-get", append(apt, "download", "-q", pkg)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return errors.Join(err, fmt.Errorf("apt-get download %s left %d packages", pkg, len(debs)))
	}
	if _, err := output(ctx, tmp, "dpkg-deb", "-x", filepath.Base(debs[0]), "all"); err != nil {
		return err
	}
	needed := filepath.Join(tmp, "needed")
	if err := os.Mkdir(needed, 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, "all/lib/modules", release), filepath.Join(needed, "modules")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, "all/boot/vmlinuz-"+release), filepath.Join(needed, "vmlinuz")); err != nil {
		return err
	}
	return os.Rename(needed, dir)
}

// guestPackages are what the guests need themselves beyond a minimal Debian 12.
var guestPackages = []string{"systemd", "systemd-sysv", "dbus", "apparmor", "kmod"}

// output runs a program in dir and returns what it printed.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
	}
	return string(text), nil
}
