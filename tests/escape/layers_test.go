package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// heldAlone are the attempts that one layer holds and no other: with that layer away they are not refused. Every
// other attempt of the tables is held by the layers that are left.
var heldAlone = map[string][]string{
	"landlock": nil, // what it holds, the mounts, the namespaces and the filter hold as well
	"network":  nil, // the filter makes no socket
	// It is root, of which no right is left: what it is already, it may become.
	"user": {"setuid", "setgid", "setresuid", "setresgid", "setreuid"},
	"filter": {
		"whiteout {dir}/write/f {dir}/write/w", "suid {dir}/write", "exec-memfd {victim}", "traceme", "setns-call",
		"unshare 0x10000000", "clone 0x10000000", "clone 0x110000000", // user namespaces are free for all
		"vforks 20", "shm-hoard", "sem-hoard", "msg-hoard", "watches",
		"map-wx", "map-x-shared", "protect-x", "pkey-x", "memfd-x", "shm-x", "implied-x", "no-random", "linux32",
		"subreaper", "dumpable", "affinity", "add-key", "request-key", "keyctl",
		"name-to-handle", "lsm-attr", "quotactl", "adjtimex", "clock-adjtime", "tsc", "speculation", "set-gs", "modify-ldt", "ptracer",
	},
	// The client's socket loses its client, and Landlock lets it find no other; UDP, answers on a stream and
	// sockets of a path that is shown are free where the network is the host's.
	"filter and network": {"udp 127.0.0.1 {udp}", "reaim 127.0.0.1 {tcp}", "disconnect", "relisten", "accept", "udp-self 127.0.0.1 {udp}", "unix-path {dir}/read/sock"},
}

// heldOtherwise are the answers of the layers that are left, where the tables' own are those of the filter.
var heldOtherwise = map[string]string{"raw-threads 500": "EAGAIN", "mlockall": "ENOMEM", "peer-pidfd": "ENODATA"}

// anyCall allows every system call that a profile may have but those that reach the network, and more.
func anyCall(more ...string) string {
	var names []string
	for _, n := range seccomp.Names() {
		rules, err := seccomp.Resolve([]string{n}, nil)
		if err == nil && len(advise.Reach(rules)) == 0 {
			names = append(names, n)
		}
	}
	return "syscalls { allow = [\"" + strings.Join(append(names, more...), "\", \"") + "\"] }"
}

// again puts the files back that an attempt took which was let through. The folders are those that the sandbox shows.
func (c *canaries) again(t *testing.T) {
	t.Helper()
	for _, f := range []string{"hidden", "read/f", "write/f", "write/g"} {
		if text, err := os.ReadFile(filepath.Join(c.dir, f)); err != nil || string(text) != "canary" {
			_ = os.Remove(filepath.Join(c.dir, f)) // it may be a node by now
			c.owned(t, os.WriteFile(filepath.Join(c.dir, f), []byte("canary"), 0o666), f, 0o666)
		}
	}
}

// TestEachLayerAlone takes one layer of the sandbox away at a time: Landlock, the filter, the network
// namespace, the unprivileged user. What two layers hold is then held by the other one alone; what only one holds
// is written down in heldAlone, and is not refused any more, so that it is known which one that is.
func TestEachLayerAlone(t *testing.T) {
	bin := rig.Root(t)
	restingUser(t)
	victim := compileVictim(t)
	for name, v := range map[string]struct {
		under         []string
		profile, user string
		of            []attempt
	}{
		"landlock":           {[]string{rig.Compile(t, "testdata/without.c"), noLandlock}, "best_effort = [\"landlock\"]", "nobody", everything()},
		"filter":             {nil, "because = \"a test\"\n  " + anyCall(), "nobody", slices.Concat(fileAttempts, namespaceAttempts(), processAttempts, kernelAttempts, kernelHere)},
		"filter and network": {nil, "because = \"a test\"\n  network { mode = \"host\" }\n  " + anyCall("@socket-server"), "nobody", networkAttempts},
		"network":            {nil, "because = \"a test\"\n  network { mode = \"host\" }", "nobody", networkAttempts},
		"user":               {nil, "because = \"a test\"", "root", everything()},
	} {
		t.Run(name, func(t *testing.T) {
			if abi := landlock.ABI(); abi < landlock.ABIScopes && strings.HasPrefix(name, "filter") {
				need.Kernel(t, "it has Landlock ABI %d, which holds less", abi)
			}
			c, port := plant(t), rig.Port(t)
			text := fmt.Sprintf(policyText, port, victim, filepath.Join(c.dir, "read"), filepath.Join(c.dir, "write"))
			text = strings.Replace(text, "widens = [\"files\"]", "widens = [\"files\", \"network\", \"syscalls\"]\n  "+v.profile, 1)
			text = strings.Replace(text, "user    = \"nobody\"", fmt.Sprintf("user    = %q", v.user), 1)
			b, err := rig.Start(rig.Options{Bin: bin, Under: v.under, Files: map[string]string{"test.cm.hcl": text}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Stop)
			values := c.values(victim, rig.Port(t))
			values["policy"], values["log"], values["control"] = filepath.Join(b.Policy, "test.cm.hcl"), b.LogFile, b.Control
			var lines, together []string
			for _, a := range v.of {
				line := fill(t, a.line, values)
				if lines = append(lines, line); !slices.Contains(heldAlone[name], a.line) && !strings.Contains(name, "filter") {
					together = append(together, line)
				}
			}
			outcomes := insideAll(t, port, together)
			for i, a := range v.of {
				if n, _, _ := strings.Cut(a.line, " "); slices.Contains(spends, n) && v.user == "root" {
					continue // what counts by user does not count root
				}
				var o outcome
				if at := slices.Index(together, lines[i]); at >= 0 {
					o = outcomes[at]
				} else {
					o = inside(t, port, lines[i])
				}
				held := denied(a.want, o) || o.result == heldOtherwise[a.line]
				switch alone := slices.Contains(heldAlone[name], a.line); {
				case !alone && !held:
					t.Errorf("#%d %s: %s, want %s of the layers that are left", a.number, a.line, o, a.want)
				case alone && held && o.result != "ok" && outside(t, victim, lines[i], asNobody).result == "ok":
					t.Errorf("#%d %s: %s: another layer holds it as well: take it off the list", a.number, a.line, o)
				}
				c.again(t)
			}
			time.Sleep(50 * time.Millisecond)
			if n := c.touched.Load(); n != 0 && name != "filter and network" { // where UDP is not held
				t.Errorf("the canary sockets were reached %d times", n)
			}
			if _, err := b.Status(); err != nil {
				t.Errorf("the broker does not answer any more: %v", err)
			}
		})
	}
}
