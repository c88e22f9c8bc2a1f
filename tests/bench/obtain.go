package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// obtain returns the peer's binary, from the host if it is installed, else
// from its Debian package unpacked below cache, and the LD_LIBRARY_PATH under
// which it finds the libraries that the host may lack.
func (p peer) obtain(ctx context.Context, cache string) (binary, libs string, err error) {
	if host := "/" + p.path; executable(host) {
		return host, "", nil
	}
	dir := filepath.Join(cache, p.pkg)
	binary = filepath.Join(dir, p.path)
	if !executable(binary) {
		if err := unpack(ctx, dir, p.pkg); err != nil {
			return "", "", err
		}
		if !executable(binary) {
			return "", "", fmt.Errorf("package %s holds no %s", p.pkg, p.path)
		}
	}
	unpacked := filepath.Join(cache, "lib")
	libs = filepath.Join(unpacked, "usr/lib/x86_64-linux-gnu") + ":" + filepath.Join(unpacked, "lib/x86_64-linux-gnu")
	missing, err := missingLibraries(ctx, binary, libs)
	if err != nil || len(missing) == 0 {
		return binary, libs, err
	}
	for _, pkg := range peerLibraries {
		if err := unpack(ctx, unpacked, pkg); err != nil {
			return "", "", err
		}
	}
	missing, err = missingLibraries(ctx, binary, libs)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%s needs libraries that are not here: %s", binary, strings.Join(missing, ", "))
	}
	return binary, libs, err
}

// peerLibraries are what the peers link beyond a minimal Debian 12.
var peerLibraries = []string{"libwrap0", "libbsd0", "libmd0", "libevent-2.1-7", "libtirpc3", "libnsl2"}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// unpack downloads a Debian package and unpacks it into dir without installing it.
func unpack(ctx context.Context, dir, pkg string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	out, err := download(ctx, tmp, pkg)
	if err != nil {
		// The lists may be missing or too old.
		if text, err := exec.CommandContext(ctx, "apt-get", "update", "-q").CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get update: %w\n%s", err, text)
		}
		if out, err = download(ctx, tmp, pkg); err != nil {
			return fmt.Errorf("apt-get download %s: %w\n%s", pkg, err, out)
		}
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages", pkg, len(debs))
	}
	if out, err := exec.CommandContext(ctx, "dpkg", "-x", debs[0], dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg -x %s: %w\n%s", debs[0], err, out)
	}
	return nil
}

// download fetches one package file into dir.
func download(ctx context.Context, dir, pkg string) ([]byte, error) {
	get := exec.CommandContext(ctx, "apt-get", "download", "-q", pkg)
	get.Dir = dir
	return get.CombinedOutput()
}

// missingLibraries asks the loader what it would not find.
func missingLibraries(ctx context.Context, binary, libs string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "ldd", binary)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libs)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", binary, err)
	}
	var missing []string
	for line := range bytes.Lines(out) {
		if name, _, ok := strings.Cut(string(line), " => not found"); ok {
			missing = append(missing, strings.TrimSpace(name))
		}
	}
	return missing, nil
}
