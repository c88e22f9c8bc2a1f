package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate/tests/need"
)

// TestInstall stages a host of PREFIX=/usr/local whose paths are not the usual ones, twice: the second time
// over a policy and a log rotation of the host's own.
func TestInstall(t *testing.T) {
	top := product(t)
	root := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077)) // of who calls make: it must not show
	args := []string{"make", "-s", "install", "DESTDIR=" + root, "SBINDIR=/opt/c/sbin", "LIBEXECDIR=/opt/c/libexec"}
	run(t, top, nil, args...)

	all := tree(t, root)
	for path, mode := range all {
		info, err := os.Lstat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o644)
		if mode.IsDir() || strings.HasPrefix(path, "/opt/c/libexec/") {
			want = 0o755
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 0 || s.Gid != 0 || path != "" && mode.Type() != fs.ModeSymlink && mode.Perm() != want {
			t.Errorf("%s is %s of %d:%d, want %s of root", path, mode, s.Uid, s.Gid, want)
		}
		if strings.Contains(path, ".wants") {
			t.Errorf("%s enables something", path)
		}
	}
	// What people call is a link, by which casemated finds the others beside itself.
	for link, to := range map[string]string{"/opt/c/sbin/casemated": "../libexec/casemate/casemated", "/usr/local/bin/casemate": "../../../opt/c/libexec/casemate/casemate", "/opt/c/sbin/casemate-inetd": "../libexec/casemate/inetd"} {
		if got, err := os.Readlink(filepath.Join(root, link)); err != nil || got != to {
			t.Errorf("%s leads to %q (%v), want %q", link, got, err, to)
		}
	}
	for _, path := range []string{
		"/usr/local/share/man/man1/casemate-check.1", "/usr/local/share/man/man5/casemate-policy.5", "/usr/local/share/man/man8/casemated.8", "/usr/local/share/man/man8/casemate-inetd.8", "/usr/local/share/man/man8/casemate-filter.8",
		"/usr/local/share/bash-completion/completions/casemate", "/usr/local/share/zsh/site-functions/_casemate",
		"/usr/local/share/fish/vendor_completions.d/casemate.fish", "/etc/fail2ban/filter.d/casemate.conf", "/etc/logrotate.d/casemate",
		"/etc/casemate/casemate.cm.hcl", "/opt/c/libexec/casemate/casemate-worker",
	} {
		if _, ok := all[path]; !ok {
			t.Errorf("no %s", path)
		}
	}
	unit := read(t, filepath.Join(root, "usr/local/lib/systemd/system/casemated.service"))
	for _, want := range []string{"\nExecStart=/opt/c/sbin/casemated /etc/casemate\n", "\nExecReload=/usr/local/bin/casemate reload\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit has no %q", want)
		}
	}
	if unit := read(t, filepath.Join(root, "usr/local/lib/systemd/system/casemate-inetd.service")); !strings.Contains(unit, "\nExecStart=/opt/c/sbin/casemate-inetd -f\n") || !strings.Contains(unit, "\nExecReload=/usr/local/bin/casemate reload\n") {
		t.Errorf("the unit of inetd:\n%s", unit)
	}
	if rotate := read(t, filepath.Join(root, "etc/logrotate.d/casemate")); !strings.Contains(rotate, "/usr/local/bin/casemate reload") {
		t.Errorf("logrotate calls another casemate:\n%s", rotate)
	}

	// check is quiet about a host that is meant to serve nothing.
	check := exec.Command(filepath.Join(root, "usr/local/bin/casemate"), "check", filepath.Join(root, "etc/casemate"))
	var stderr strings.Builder
	check.Stderr = &stderr
	if out, err := check.Output(); err != nil || stderr.Len() > 0 || !strings.HasPrefix(string(out), "no service: ") {
		t.Errorf("check: %v: %s%s", err, out, &stderr)
	}

	if err := os.Remove(filepath.Join(root, "etc/casemate/casemate.cm.hcl")); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"etc/casemate/own.cm.hcl", "etc/logrotate.d/casemate"} {
		write(t, filepath.Join(root, own), "# mine\n", 0o644)
	}
	run(t, top, nil, args...)
	if _, err := os.Stat(filepath.Join(root, "etc/casemate/casemate.cm.hcl")); err == nil {
		t.Error("a policy was put beside the host's own")
	}
	if rotate := read(t, filepath.Join(root, "etc/logrotate.d/casemate")); rotate != "# mine\n" {
		t.Error("the host's own log rotation was overwritten")
	}
	cmd := exec.Command("make", "-s", "install", "DESTDIR="+root, "PREFIX=usr")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "write an absolute path") {
		t.Errorf("PREFIX=usr: %v: %s", err, out)
	}
}

// TestScriptsAreShell: dash, which is Debian's sh, reads each script.
func TestScriptsAreShell(t *testing.T) {
	sh := need.Programs(t, "dash")[0]
	top := "../.."
	for _, script := range []string{"install.sh", "deb.sh", "debian/postinst", "debian/prerm", "debian/postrm"} {
		if out, err := exec.Command(sh, "-n", filepath.Join(top, "cmd/casemated/dist", script)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}
