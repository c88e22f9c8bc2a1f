package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"casemate/tests/debian"
)

//go:embed guest
var guest embed.FS

// packages are what the host has beyond a minimal Debian 12: its inetd, and servers and clients of what it
// serves.
var packages = []string{
	"openbsd-inetd", "tcpd", "inetutils-telnetd", "inetutils-telnet", "fingerd", "finger", "tftpd-hpa", "tftp-hpa", "rsync", "cvs",
	"popa3d", "micro-httpd", "vsftpd", "nullidentd", "rsh-redone-server", "rsh-redone-client", "gophernicus", "curl", "iproute2", "procps",
}

// ways are how the host is moved, each a script of guest.
var ways = []string{"drop-in", "import"}

// inside is the argument with which this program runs as the first process of the host.
const inside = "inside"

func main() {
	err := func() error {
		if len(os.Args) > 4 && os.Args[1] == inside {
			return live(os.Args[2], os.Args[3], os.Args[4:])
		}
		return run()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

func run() error {
	var cache, only string
	flag.StringVar(&cache, "cache", ".cache/host", "`folder` in which the tree of the host is kept")
	flag.StringVar(&only, "only", "", "move the host in this `way` alone: drop-in or import")
	flag.Parse()
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes a host")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	tree, err := debian.Host(ctx, cache, packages...)
	if err != nil {
		return err
	}
	made, err := os.MkdirTemp(cache, "deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	var debs []string
	for _, version := range []string{"1.0", "2.0"} {
		deb, err := pack(ctx, made, version)
		if err != nil {
			return err
		}
		debs = append(debs, deb)
	}
	failed := 0
	for _, way := range ways {
		if only != "" && way != only {
			continue
		}
		if err := move(ctx, way, tree, debs); err != nil {
			fmt.Fprintf(os.Stderr, "host: %s: %v\n", way, err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the ways to move a host failed", failed)
	}
	return nil
}

// pack makes the package of what make man has built, and returns it as casemate-VERSION.deb in out.
func pack(ctx context.Context, out, version string) (string, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "cmd/casemated/dist/deb.sh")
	cmd.Env = append(os.Environ(), "OUT="+out, "DEB_VERSION="+version+"-1", "COMPRESS=none")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make the package: %w\n%s", err, text)
	}
	found, err := filepath.Glob(filepath.Join(out, "casemate_"+version+"-1_*.deb"))
	if err != nil || len(found) != 1 {
		return "", errors.Join(err, fmt.Errorf("there are %d packages in %s", len(found), out))
	}
	deb := filepath.Join(out, "casemate-"+version+".deb")
	return deb, os.Rename(found[0], deb)
}

// move runs this program as the first process of a host in namespaces of its own, and returns when all that
// it has started has ended.
func move(ctx context.Context, way, tree string, debs []string) error {
	tree, err := filepath.Abs(tree)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{inside, way, tree}, debs...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS}
	return cmd.Run()
}
