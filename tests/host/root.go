package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// address is the host's own.
const address = "192.0.2.1"

// enter makes the tree this process's root: below what is written to it, in memory, and with the kernel's own
// file systems.
func enter(tree string, debs []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to oneself: %w", err)
	}
	// Over a folder that every host has, so that nothing is left of it.
	const work = "/mnt"
	if err := unix.Mount("host", work, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount %s: %w", work, err)
	}
	root := filepath.Join(work, "root")
	for _, dir := range []string{root, work + "/upper", work + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("host", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", tree, work, work)); err != nil {
		return fmt.Errorf("mount the host: %w", err)
	}
	for _, deb := range debs {
		if err := copyFile(deb, filepath.Join(root, filepath.Base(deb))); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		source, target, fs string
		flags              uintptr
		data               string
	}{
		{"proc", "proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/sys", "sys", "", unix.MS_BIND | unix.MS_REC, ""},
		{"/dev", "dev", "", unix.MS_BIND | unix.MS_REC, ""},
		{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"/dev/pts/ptmx", "dev/ptmx", "", unix.MS_BIND, ""},
		{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	} {
		source := m.source
		if m.target == "dev/ptmx" {
			source = filepath.Join(root, source)
		}
		if err := unix.Mount(source, filepath.Join(root, m.target), m.fs, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := errors.Join(os.Chdir(root), unix.PivotRoot(".", "."), unix.Unmount(".", unix.MNT_DETACH), os.Chdir("/")); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	// To datagrams from 127.0.0.0/8 inetd gives no answer, and casemate none to those from the address that they
	// come to: who asks for the one comes from the other.
	const addresses = "ip link set lo up; ip address add " + address + "/32 dev lo; ip address add 192.0.2.2/32 dev lo; " +
		"ip route change local " + address + " dev lo table local src 192.0.2.2 proto kernel scope host; " +
		"ip route change local 192.0.2.2 dev lo table local src " + address + " proto kernel scope host"
	if text, err := exec.Command("sh", "-e", "-c", addresses).CombinedOutput(); err != nil {
		return fmt.Errorf("loopback: %w: %s", err, text)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
