package root

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// challenge builds the vulnerable program as the example's README says and
// serves it under the example's policy; only paths and the ports are the test's.
func challenge(t *testing.T) (b *rig.Broker, vault string, ports []string) {
	t.Helper()
	need.Programs(t, "gcc")
	dir, top := rig.PublicDir(t), rig.Top(t)
	vault = filepath.Join(dir, "vault")
	flag := filepath.Join(dir, "flag")
	own := strings.NewReplacer("/usr/local/libexec/vault", vault, "/flag", flag, "tcp://:", "tcp://127.0.0.1:")
	aPort := regexp.MustCompile(` 313\d\d,`)
	readme, err := os.ReadFile(filepath.Join(top, "examples", "challenge-host", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(top, "examples", "challenge-host", "vault.c"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "examples", "challenge-host", "vault.c"), own.Replace(string(source)), 0o644)
	steps := regexp.MustCompile(`(?m)^    (gcc|echo) .*$`).FindAllString(string(readme), -1)
	if len(steps) != 2 {
		t.Fatalf("the README has %d steps, want gcc and echo: %q", len(steps), steps)
	}
	for _, s := range steps {
		must(t, "sh", "-c", "cd "+dir+" && "+own.Replace(s))
	}
	files := written(t, "challenge-host")
	for name, text := range files {
		files[name] = aPort.ReplaceAllStringFunc(own.Replace(text), func(string) string {
			ports = append(ports, rig.Port(t))
			return " " + ports[len(ports)-1] + ","
		})
	}
	return rig.ServeWith(t, rig.Options{Files: files}), vault, ports
}

// play sends a name from a loopback address and returns what the vault said
// after its question; "" when it was cut off.
func play(t *testing.T, source, port, name string) string {
	t.Helper()
	d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp4", "127.0.0.1:"+port)
	if errors.Is(err, syscall.ECONNRESET) { // refused before the handshake was seen to end
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = c.Write([]byte(name)) // the end comes with the answer
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			_, answer, _ := strings.Cut(text.String(), "\n")
			return answer
		}
	}
}

// TestChallengeHost attacks the example: it crashes the program, wins the flag,
// and makes it do a system call that its profile forbids.
func TestChallengeHost(t *testing.T) {
	rig.Root(t)
	b, vault, ports := challenge(t)
	port := ports[0]
	service := "vault-" + port
	greets := func(source string) {
		t.Helper()
		if got := play(t, source, port, "Ada\n"); got != "Hello, Ada. The vault stays shut.\n" {
			t.Errorf("the vault said %q", got)
		}
	}
	greets("127.0.0.1")
	watched(t, b, service, port)
	if got := play(t, "127.0.0.1", port, strings.Repeat("A", 256)); got != "" {
		t.Errorf("smashed, the vault said %q", got)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", service, "reason", "crash", "signal", "SIGSEGV"); err != nil {
		t.Error(err)
	}
	greets("127.0.0.1") // a crash is part of the game

	if got := play(t, "127.0.0.1", port, jump(t, vault, "open_vault")); got != "The vault is open: flag{yours}\n" {
		t.Errorf("won, the vault said %q", got)
	}
	if got := play(t, "127.0.0.1", port, jump(t, vault, "__getdents64")); got != "" {
		t.Errorf("after a forbidden call the vault said %q", got)
	}
	for _, record := range [][]string{{"msg", "session", "service", service, "reason", "violation"},
		{"msg", "denied", "service", service, "syscall", "getdents64", "signal", "SIGSYS", "grant", `profile.vault: widens = ["syscalls"], syscalls { allow = ["@dir"] }`}} {
		if _, err := b.Await(1, 30*time.Second, record...); err != nil {
			t.Error(err)
		}
	}
	if got := play(t, "127.0.0.1", port, "Ada\n"); got != "" {
		t.Errorf("after the violation its source is answered %q", got)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "verdict", "deny", "reason", "penalty", "client", "127.0.0.1"); err != nil {
		t.Error(err)
	}
	greets("127.0.0.2")
	others(t, b, ports[1:])
}

// others plays on the ports of the other teams, which neither the limits nor the penalties of
// the first concern, and finds each service by its own name.
func others(t *testing.T, b *rig.Broker, ports []string) {
	t.Helper()
	if len(ports) != 19 {
		t.Errorf("there are %d more ports, want 19", len(ports))
	}
	for _, port := range ports {
		if got := play(t, "127.0.0.1", port, "Ada\n"); got != "Hello, Ada. The vault stays shut.\n" {
			t.Errorf("on port %s the vault said %q", port, got)
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "vault-"+port, "reason", "exit"); err != nil {
			t.Error(err)
		}
		if s, err := b.Service("vault-" + port); err != nil || s.Admitted != 1 {
			t.Errorf("status of vault-%s: %+v, %v", port, s, err)
		}
	}
}

// jump is a name that replaces the pointer behind the 64 bytes of the vault's buffer.
func jump(t *testing.T, program, function string) string {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == function {
			name := fmt.Sprintf("%-64s", "x\n")
			return string(binary.LittleEndian.AppendUint64([]byte(name), s.Value))
		}
	}
	t.Fatalf("%s has no function %s", program, function)
	return ""
}
