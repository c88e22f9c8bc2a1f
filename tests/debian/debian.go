// Package debian makes the tree of a Debian 12, for what tries the product in a system of its own.
package debian

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Tree returns a debootstrapped minimal Debian 12 of an architecture, as Go and Debian have it, with these
// packages more, from the cache if it is there. Packages of another architecture than this host's
// are unpacked only: none of their programs run here. It needs root, and debootstrap.
func Tree(ctx context.Context, arch, cache string, packages ...string) (string, error) {
	list, here := strings.Join(packages, ","), arch == runtime.GOARCH
	tree := filepath.Join(cache, fmt.Sprintf("debian-12-%08x", crc32.ChecksumIEEE([]byte(list))))
	if !here {
		tree += "-" + arch
	}
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	mirror, err := output(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Codename: bookworm", "Component: main")
	if err != nil {
		return "", err
	}
	mirror, _, _ = strings.Cut(mirror, "\n")
	tmp, err := os.MkdirTemp(cache, "debootstrap-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	args := []string{"--variant=minbase", "--include=" + list, "--arch=" + arch}
	if !here {
		args = append(args, "--foreign")
	}
	cmd := exec.CommandContext(ctx, "debootstrap", append(args, "bookworm", tmp, mirror)...)
	// It mounts /proc in there, and what is interrupted leaves it mounted.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w\n%s", err, text)
	}
	if !here {
		if err := unpackAll(ctx, tmp); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	return tree, os.Rename(tmp, tree)
}

// unpackAll unpacks what the first stage of debootstrap has downloaded, and does what little of
// the packages' own scripts the tests need.
func unpackAll(ctx context.Context, tree string) error {
	debs, err := filepath.Glob(filepath.Join(tree, "var/cache/apt/archives/*.deb"))
	if err != nil || len(debs) == 0 {
		return errors.Join(err, errors.New("debootstrap has downloaded no package"))
	}
	// In a container debootstrap links /proc to that of the host.
	if proc := filepath.Join(tree, "proc"); os.Remove(proc) == nil {
		if err := os.Mkdir(proc, 0o555); err != nil {
			return err
		}
	}
	for _, deb := range debs {
		// dpkg-deb -x would put directories in the place of the links that lead from / into /usr.
		if _, err := output(ctx, "bash", "-o", "pipefail", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x -p --keep-directory-symlink -C "$2"`, "bash", deb, tree); err != nil {
			return err
		}
	}
	for _, name := range []string{"passwd", "group"} {
		text, err := os.ReadFile(filepath.Join(tree, "usr/share/base-passwd", name+".master"))
		if err == nil {
			err = os.WriteFile(filepath.Join(tree, "etc", name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(os.Symlink("mawk", filepath.Join(tree, "usr/bin/awk")), os.WriteFile(filepath.Join(tree, "etc/shadow"), []byte("root:*:19000:0:99999:7:::\n"), 0o640),
		os.RemoveAll(filepath.Join(tree, "debootstrap")), os.Chown(filepath.Join(tree, "etc/shadow"), 0, 42)) // shadow's group
}

// output runs a program and returns what it printed.
func output(ctx context.Context, name string, args ...string) (string, error) {
	text, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
	}
	return string(text), nil
}
