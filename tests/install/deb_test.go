package install

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// packages makes a package of version 1.0-1, and one of 2.0-1 whose policy has another comment.
func packages(t *testing.T, top string) (one, two string) {
	t.Helper()
	out := t.TempDir()
	run(t, top, []string{"OUT=" + out, "DEB_VERSION=1.0-1", "COMPRESS=none"}, "cmd/casemated/dist/deb.sh")
	found, err := filepath.Glob(filepath.Join(out, "casemate_1.0-1_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages: %v, %v", found, err)
	}
	one, two = found[0], filepath.Join(out, "two.deb")
	content := filepath.Join(out, "content")
	run(t, out, nil, "dpkg-deb", "-R", one, content)
	control := filepath.Join(content, "DEBIAN/control")
	write(t, control, strings.Replace(read(t, control), "Version: 1.0-1", "Version: 2.0-1", 1), 0o644)
	site := filepath.Join(content, "etc/casemate/casemate.cm.hcl")
	write(t, site, "# of version 2\n"+read(t, site), 0o644)
	run(t, out, nil, "dpkg-deb", "--root-owner-group", "-Znone", "--build", content, two)
	return one, two
}

// deb is one host with its dpkg.
type deb struct {
	*testing.T
	root string
}

func (d deb) dpkg(args ...string) string {
	d.Helper()
	return run(d.T, d.root, []string{"DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		append([]string{"dpkg", "--root=" + d.root, "--force-confdef", "--force-confold", "--log=/dev/null"}, args...)...)
}

// calls are what systemctl was told since the last time.
func (d deb) calls() []string {
	d.Helper()
	file := filepath.Join(d.root, "systemctl.calls")
	said := strings.Split(strings.TrimSpace(read(d.T, file)), "\n")
	write(d.T, file, "", 0o644)
	return slices.Compact(said)
}

func (d deb) expect(what string, got []string, want ...string) {
	d.Helper()
	if !slices.Equal(got, want) {
		d.Errorf("%s: systemctl was told %q, want %q", what, got, want)
	}
}

// start boots the host as far as casemated: with its root as the only file system, but for proc and sys.
func (d deb) start(args ...string) (stop func()) {
	d.Helper()
	script := `set -e
mount --rbind /sys "$1/sys"; mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"
mount --rbind "$1" "$1"; cd "$1"; shift
pivot_root . old
exec /bin/busybox env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c 'umount -l /old; exec "$@"' sh "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", script, "sh", d.root, "/usr/sbin/casemated"}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var once bool
	stop = func() {
		if once {
			return
		}
		once = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				d.Errorf("casemated ended with %v:\n%s", err, &said)
			}
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			d.Errorf("casemated does not end:\n%s", &said)
		}
	}
	d.Cleanup(stop)
	err := rig.Until(30*time.Second, func() error {
		out, err := d.casemate("status")
		if err == nil && strings.Contains(out, "no policy loaded yet") {
			err = errors.New(out)
		}
		return err
	})
	if err != nil {
		stop()
		d.Fatalf("%v\n%s", err, &said)
	}
	return stop
}

// casemate is the installed one's word.
func (d deb) casemate(args ...string) (string, error) {
	out, err := exec.Command("chroot", append([]string{d.root, "/usr/bin/casemate"}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("casemate %v: %w: %s", args, err, out)
	}
	return string(out), err
}

// ask is a client's line and its answer.
func ask(port, line string) (string, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func (d deb) serves(port string) {
	d.Helper()
	if got, err := ask(port, "hello"); err != nil || got != "hello\n" {
		d.Errorf("the service answers %q, %v", got, err)
	}
}

// TestDeb takes the package through its life on a host: it installs and enables nothing, serves
// nothing, serves what the host adds, rotates its log, is upgraded over a policy that was
// changed, removed, and purged to nothing.
func TestDeb(t *testing.T) {
	top := product(t)
	need.Programs(t, "dpkg-deb", "unshare", "chroot")
	rotate := need.Programs(t, "logrotate")[0]
	one, two := packages(t, top)
	d := deb{t, host(t)}
	before := tree(t, d.root)

	d.dpkg("--install", one)
	d.expect("installation", d.calls(), "--system daemon-reload")
	if enabled, _ := filepath.Glob(filepath.Join(d.root, "etc/systemd/system/*/*")); len(enabled) > 0 {
		t.Errorf("the package enables %v", enabled)
	}
	if depends := run(t, top, nil, "dpkg-deb", "-f", one, "Depends"); strings.TrimSpace(depends) != "" {
		t.Errorf("the package depends on %s", depends) // and this host has nothing of it
	}
	if out, err := d.casemate("check"); err != nil || strings.Contains(out, "CM508") {
		t.Errorf("check: %v: %s", err, out)
	}
	stop := d.start()
	out, err := d.casemate("status")
	if err != nil || strings.Contains(out, "listening") {
		t.Errorf("as it comes it serves: %v: %s", err, out)
	}
	stop()

	port := rig.Port(t)
	write(t, filepath.Join(d.root, "etc/casemate/own.cm.hcl"), fmt.Sprintf(`service "cat" {
  listen  = ["tcp://127.0.0.1:%s"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.localhost
}
`, port), 0o644)
	site := filepath.Join(d.root, "etc/casemate/casemate.cm.hcl")
	write(t, site, read(t, site)+"# changed\n", 0o644)
	write(t, filepath.Join(d.root, "var/log/casemate/.keep"), "", 0o640) // LogsDirectory= of the unit
	stop = d.start("--log", "/var/log/casemate/casemate.log")
	d.serves(port)
	d.rotates(rotate, port)

	// Upgraded while it runs, it is told to start anew, and the host's changes stay.
	d.dpkg("--install", two)
	d.expect("upgrade", d.calls(), "--system daemon-reload", "try-restart casemated.service casemate-inetd.service")
	if text := read(t, site); !strings.HasSuffix(text, "# changed\n") || strings.Contains(text, "of version 2") {
		t.Errorf("the upgrade has changed the policy:\n%s", text)
	}
	stop()
	stop = d.start()
	d.serves(port)
	stop()

	d.dpkg("--remove", "casemate")
	d.expect("removal", d.calls(), "stop casemated.service casemate-inetd.service", "--system daemon-reload")
	if _, err := os.Stat(site); err != nil {
		t.Errorf("removal takes the policy: %v", err)
	}
	d.dpkg("--purge", "casemate")
	d.left(before)
}

// rotates has logrotate rotate the log, by the installed rules with the paths of this root in front.
func (d deb) rotates(logrotate, port string) {
	d.Helper()
	rules := strings.NewReplacer("/var/log/casemate", d.root+"/var/log/casemate", "/run/casemate", d.root+"/run/casemate",
		"/usr/bin/casemate", "chroot "+d.root+" /usr/bin/casemate").Replace(read(d.T, filepath.Join(d.root, "etc/logrotate.d/casemate")))
	log := filepath.Join(d.root, "var/log/casemate/casemate.log")
	d.sessionIn(log)
	dir := d.TempDir()
	write(d.T, filepath.Join(dir, "rules"), rules, 0o644)
	run(d.T, dir, nil, logrotate, "--force", "--state", filepath.Join(dir, "state"), filepath.Join(dir, "rules"))
	old := read(d.T, log+".1")
	d.serves(port)
	d.sessionIn(log)
	if now := read(d.T, log+".1"); now != old {
		d.Errorf("after its rotation the old log has grown by %q", strings.TrimPrefix(now, old))
	}
}

// sessionIn waits for the record of a session that is over.
func (d deb) sessionIn(log string) {
	d.Helper()
	err := rig.Until(20*time.Second, func() error {
		text, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(text), `"msg":"session"`) {
			err = fmt.Errorf("no session in %s: %s", log, text)
		}
		return err
	})
	if err != nil {
		d.Error(err)
	}
}

// left compares what a purge has left with what was there before.
func (d deb) left(before map[string]fs.FileMode) {
	d.Helper()
	for _, path := range slices.Sorted(maps.Keys(tree(d.T, d.root))) {
		_, was := before[path]
		others := path == "/etc/casemate" || path == "/etc/casemate/own.cm.hcl" || strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/var/lib/dpkg/")
		if !was && !others {
			d.Errorf("a purge leaves %s", path)
		}
	}
	if _, err := os.Stat(filepath.Join(d.root, "etc/casemate/own.cm.hcl")); err != nil {
		d.Errorf("a purge takes what the host has written: %v", err)
	}
}
