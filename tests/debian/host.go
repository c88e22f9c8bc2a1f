package debian

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// setUp installs packages into the tree $1 as a host's administrator does, for apt chooses among what others
// depend on, and debootstrap does not. Nothing is started.
const setUp = `mount -t proc proc "$1/proc"
cp /etc/resolv.conf "$1/etc/"
printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
tree=$1; shift
export DEBIAN_FRONTEND=noninteractive
chroot "$tree" apt-get update -q
chroot "$tree" apt-get install -qy --no-install-recommends "$@"
chroot "$tree" apt-get clean
rm "$tree/usr/sbin/policy-rc.d"`

// Host returns the tree of a Debian 12 of this host's architecture with the packages, installed as by its administrator, from
// the cache if it is there. It needs root, and debootstrap.
func Host(ctx context.Context, cache string, packages ...string) (string, error) {
	tree := filepath.Join(cache, fmt.Sprintf("host-%08x", crc32.ChecksumIEEE([]byte(strings.Join(packages, ",")))))
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	base, err := Tree(ctx, runtime.GOARCH, cache, "ca-certificates")
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "host-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "tree")
	if _, err := output(ctx, "cp", "-a", base, made); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-e", "-c", setUp, "sh", made}, packages...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install packages: %w\n%s", err, text)
	}
	return tree, os.Rename(made, tree)
}
