package root

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// daemon is a folder of examples/services: its README's "Prepare" and "Ask" are run
// as they are written, as root in namespaces of the test's own.
type daemon struct {
	folder, service string
	port            string   // "" for one that stays when its client has gone
	needs           []string // programs of the server's and the client's packages
	apart           string   // the server's package, where it conflicts with another's and so is not installed
	want            []string // what "Ask" prints, in this order
	say             [][2]string
	caps            uint64   // of its profile, bit by number
	shares          []string // namespaces with the broker
	from            int      // the port that it asks its clients to come from; 0 is any
	heavy           bool     // make deps-heavy installs it, and make test does not
}

// dialogue is what a user types at telnet's prompts.
var dialogue = [][2]string{{"login: ", "guest"}, {"Password: ", "open-sesame"}, {"$ ", "id -un; tty; ls -d /root /proc; exit"}}

// rights are those of a program that becomes a user.
const rights = 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID

var daemons = []daemon{
	{folder: "telnetd", service: "telnet", port: "23", needs: []string{"telnetd", "telnet", "login"}, say: dialogue,
		want: []string{"guest", "/dev/pts/0", "cannot access '/root'", "/proc"}, caps: rights | 1<<unix.CAP_CHOWN | 1<<unix.CAP_FOWNER},
	{folder: "sshd", service: "ssh", port: "22", needs: []string{"sshd", "ssh", "scp", "ssh-keygen"}, want: []string{"guest\n", "cannot access '/root'", "/dev/pts/0\r\n901\r\n", "copied\n"},
		caps: rights | 1<<unix.CAP_CHOWN | 1<<unix.CAP_FOWNER | 1<<unix.CAP_SYS_CHROOT},
	{folder: "vsftpd", service: "ftp", port: "21", needs: []string{"vsftpd", "curl"}, want: []string{"hello\n", "hello\n", "none of /root\n"}, caps: rights | 1<<unix.CAP_SYS_CHROOT, shares: []string{"net"}},
	{folder: "proftpd", service: "proftpd", port: "2121", needs: []string{"curl"}, apart: "proftpd-core", want: []string{"hello there\n", "there\n", "none of /root\n"},
		caps: rights | 1<<unix.CAP_SYS_CHROOT, shares: []string{"net"}},
	{folder: "atftpd", service: "atftp", needs: []string{"tftp", "useradd"}, apart: "atftpd", want: []string{"same\n", "hello\n", "Access violation"}, shares: []string{"net"}},
	{folder: "rshd", service: "shell", port: "514", needs: []string{"in.rshd", "rsh"}, want: []string{"guest\n/home/guest\n"},
		caps: rights | 1<<unix.CAP_CHOWN | 1<<unix.CAP_FOWNER | 1<<unix.CAP_NET_BIND_SERVICE, shares: []string{"net"}, from: 600},
	{folder: "exim4", service: "smtp", port: "25", needs: []string{"exim4", "curl"}, want: []string{"Subject: hello\n\nbody\n", "refused\n"}},
	{folder: "dictd", service: "dict", port: "2628", needs: []string{"dictd", "dict"}, want: []string{"A bomb-proof room of a fortress.\n", "local"}},
	{folder: "nrpe", service: "nrpe", port: "5666", needs: []string{"nrpe", "/usr/lib/nagios/plugins/check_nrpe"}, want: []string{"OK - 18", "Command 'other' not defined"}},
	{folder: "fossil", service: "fossil", port: "8080", needs: []string{"fossil", "curl"}, want: []string{"<title>", "cloned\n"}},
	{folder: "bitlbee", service: "irc", port: "6667", needs: []string{"bitlbee", "nc"}, want: []string{"BitlBee-IRCd initialized", "Account successfully created"}},
	{folder: "nbdkit", service: "nbd", port: "10809", needs: []string{"nbdkit", "nbdinfo", "nbdcopy"}, want: []string{"1000000\n", "same\n"}},
	{folder: "leafnode", service: "nntp", port: "119", needs: []string{"leafnode", "nc"}, want: []string{"200 Leafnode NNTP", "215 ", "205 "}, shares: []string{"net"}},
	{folder: "dovecot-imap", service: "imap", port: "143", needs: []string{"/usr/lib/dovecot/imap", "nc"}, want: []string{"PREAUTH", "* 1 EXISTS", "Subject: hello", "c OK"}},
	{folder: "uucico", service: "uucp", port: "540", needs: []string{"/usr/lib/uucp/uucico", "uucp", "su"}, want: []string{"sent by uucp\n"}},
	{folder: "saned", service: "scan", port: "6566", needs: []string{"saned", "scanimage"}, heavy: true,
		want: []string{"device `net:127.0.0.1:test:0' is a Noname frontend-tester virtual device\n", "P5\n", "1242\n"}, shares: []string{"net"}},
	{folder: "talkd", service: "ntalk", needs: []string{"talkd", "talk", "script", "setpriv", "perl"}, want: []string{"not logged on", "hello guest\n", "both ended\n"}},
	{folder: "xvnc", service: "display", port: "5950", needs: []string{"Xvnc", "xkbcomp", "vncsnapshot"}, want: []string{"320x200 screen\n", "ff d8 ff"}, shares: []string{"net"}},
	{folder: "munin-node", service: "munin", port: "4949", needs: []string{"munin-node-c", "nc"}, want: []string{"# munin node", "load", "load.value 7\n"}},
}

// TestDaemonExamples serves the examples together, unmodified programs of Debian's each under the profile
// of its folder, and asks each as its README says. Users, configuration and files are in
// namespaces of the test's own.
func TestDaemonExamples(t *testing.T) {
	rig.Root(t)
	daemons := slices.DeleteFunc(slices.Clone(daemons), func(d daemon) bool { return d.heavy && !installed(d.needs) })
	for _, d := range daemons {
		need.Programs(t, d.needs...)
		if d.apart != "" {
			need.Programs(t, unpacked(t, d.apart))
		}
	}
	if !alone(t) {
		return
	}
	for _, dir := range []string{"/etc", "/usr/sbin", "/var/lib/bitlbee", "/var/log", "/var/spool"} {
		ownCopy(t, dir)
	}
	for _, dir := range []string{"/home", "/srv", "/var/mail"} {
		privately(t, dir)
	}
	guest(t)
	files := map[string]string{}
	for _, d := range daemons {
		if d.apart != "" {
			must(t, "cp", unpacked(t, d.apart), "/usr/sbin/")
		}
		maps.Copy(files, written(t, filepath.Join("services", d.folder)))
		steps(t, d, "Prepare", t.TempDir())
	}
	files["inetd.conf"] = "127.0.0.1:2323 stream tcp nowait root /usr/sbin/telnetd telnetd\n"
	files["entries.cm.hcl"] = "policy { edition = 1 }\ninetd { acl = acl.localhost }\n"
	b := rig.ServeWith(t, rig.Options{Files: files})
	t.Run("asked", func(t *testing.T) {
		// PAM lets a user in under the profile of an entry that no block extends, too.
		t.Run("classic_login", func(t *testing.T) {
			t.Parallel()
			out := converse(t, "telnet 127.0.0.1 2323", dialogue)
			if !strings.Contains(out, "/dev/pts/0") {
				t.Errorf("no terminal in:\n%s", out)
			}
		})
		for _, d := range daemons {
			t.Run(d.folder, func(t *testing.T) {
				t.Parallel()
				heldHere(t, b, d.service)
				d.ask(t)
				d.confined(t, b)
			})
		}
	})
}

// heldHere leaves out what is asked of a service that this kernel's Landlock makes casemated refuse: it knows no ports or no scopes, which nothing else holds.
func heldHere(t *testing.T, b *rig.Broker, name string) {
	t.Helper()
	abi := landlock.ABI()
	if s, err := b.Service(name); abi < landlock.ABIScopes && err == nil && s.Broken && (strings.Contains(s.Error, "landlock.net") || strings.Contains(s.Error, "landlock.scopes")) {
		need.Kernel(t, "it has Landlock ABI %d: %s is refused, as nothing else holds it", abi, name)
	}
}

// installed tells whether all of them are there.
func installed(programs []string) bool {
	return !slices.ContainsFunc(programs, func(p string) bool {
		_, err := exec.LookPath(p)
		return err != nil
	})
}

// unpacked is the server of a package that make deps-test has unpacked.
func unpacked(t *testing.T, pkg string) string {
	t.Helper()
	return filepath.Join(rig.Top(t), ".cache", "apart", pkg, "usr", "sbin", strings.TrimSuffix(pkg, "-core"))
}

// guest makes the user whom the examples know.
func guest(t *testing.T) {
	t.Helper()
	must(t, "sed", "-i", "/^guest:/d", "/etc/passwd", "/etc/group", "/etc/shadow")
	add(t, "/etc/passwd", "guest:x:901:901:A guest:/home/guest:/bin/sh")
	add(t, "/etc/group", "guest:x:901:")
	add(t, "/etc/shadow", "guest:!:19000:0:99999:7:::")
	must(t, "sh", "-c", "echo guest:open-sesame | chpasswd")
	owned(t, "/home/guest", 901, 0o755)
	// Who is logged on, for talkd.
	if f, err := os.OpenFile("/run/utmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
		f.Close()
		t.Cleanup(func() { _ = os.Remove("/run/utmp") })
	}
	cover(t, "/run/utmp", "")
	// Debian's daemons want these folders, which a boot makes.
	for _, dir := range []string{"/run/sshd", "/run/vsftpd", "/run/vsftpd/empty"} {
		if os.Mkdir(dir, 0o755) == nil {
			t.Cleanup(func() { _ = os.Remove(dir) })
		}
	}
}

// work is where a daemon's sections run one after the other.
func (d daemon) work() string { return filepath.Join("/srv", "work", d.folder) }

// steps runs a section.
func steps(t *testing.T, d daemon, name, home string) string {
	t.Helper()
	if err := os.MkdirAll(d.work(), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "60", "sh", "-e", "-c", section(t, d.folder, name))
	cmd.Dir, cmd.Env = d.work(), append(os.Environ(), "HOME="+home, "LC_ALL=C", "EXAMPLE="+filepath.Join(rig.Top(t), "examples", "services", d.folder))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s, %s: %v\n%s", d.folder, name, err, out)
	}
	return string(out)
}

// ask runs "Ask" and looks at what it prints.
func (d daemon) ask(t *testing.T) {
	t.Helper()
	var out string
	if d.say == nil {
		out = steps(t, d, "Ask", t.TempDir())
	} else {
		out = converse(t, section(t, d.folder, "Ask"), d.say)
	}
	inOrder(t, out, d.want)
}

// converse runs a command and types at its prompts.
func converse(t *testing.T, command string, say [][2]string) string {
	t.Helper()
	cmd := exec.Command("timeout", "60", "sh", "-e", "-c", command)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // telnet ends with 1 when the other side closes
	var out strings.Builder
	buf := make([]byte, 4096)
	for _, s := range say {
		for at := out.Len(); !strings.Contains(out.String()[at:], s[0]); {
			n, err := from.Read(buf)
			out.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v before %q in:\n%s", err, s[0], out.String())
			}
		}
		if _, err := io.WriteString(in, s[1]+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	rest, _ := io.ReadAll(from)
	return out.String() + string(rest)
}

// confined opens a connection that says nothing, and looks at the processes of its session.
func (d daemon) confined(t *testing.T, b *rig.Broker) {
	t.Helper()
	if d.port != "" {
		dial := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: d.from}}
		c, err := dial.Dial("tcp4", net.JoinHostPort("127.0.0.1", d.port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := rig.Until(30*time.Second, func() error {
		checked, first := 0, session(t, b, d.service).PID
		for _, pid := range family(t, first) {
			err := d.layers(b.PID, pid)
			if pid == first { // others may have changed their root
				err = errors.Join(err, mountsOf(pid))
			}
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue // ended in between
			}
			if err != nil {
				return err
			}
			checked++
		}
		if checked == 0 {
			return errors.New("no process of the session was there to be looked at")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// layers checks one process, whoever it is by now.
func (d daemon) layers(broker, pid int) error {
	s, err := rig.Status(pid)
	if err != nil {
		return err
	}
	var bad []error
	for _, want := range [][2]string{{"NoNewPrivs", "1"}, {"Seccomp", "2"}, {"CapBnd", fmt.Sprintf("%016x", d.caps)}} {
		if s[want[0]] != want[1] {
			bad = append(bad, fmt.Errorf("%s of process %d is %q, want %q", want[0], pid, s[want[0]], want[1]))
		}
	}
	return errors.Join(append(bad, namespacesOf(broker, pid, d.shares))...)
}
