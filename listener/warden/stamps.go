package warden

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// accountFiles are where users and groups come from.
var accountFiles = []string{"/etc/passwd", "/etc/group"}

// stamps is how files lie on the disk, by path: in one pass over many services each
// is looked at once.
type stamps map[string]string

// of differs when one of the paths, or a directory on the way, has become another file or
// another's, or when a file has been written to. What is in a directory does not count: a
// sandbox shows it as it is.
func (m stamps) of(paths ...string) string {
	h := sha256.New()
	for _, whole := range paths {
		for i := range len(whole) + 1 { // down from the root: a dead mount is asked at its own path
			if i > 0 && i < len(whole) && whole[i] != '/' {
				continue
			}
			p := cmp.Or(whole[:i], "/")
			if m[p] == "" {
				st, _ := hostpath.Ask(p) // zero on any error: who prepares says which
				m[p] = fmt.Sprintln(p, st.Dev, st.Ino, st.Mode, st.Uid, st.Gid)
				if st.Mode&unix.S_IFMT == unix.S_IFREG {
					m[p] += fmt.Sprintln(st.Size, st.Ctim.Nano())
				}
			}
			h.Write([]byte(m[p]))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writable is of the directories that any service of p may write: nothing is resolved through them.
func (m stamps) writable(p *granted.Policy) string {
	if m[""] == "" {
		h := sha256.Sum256(fmt.Append(nil, p.Writable()))
		m[""] = hex.EncodeToString(h[:])
	}
	return m[""]
}

// below is of the mounts below the paths, which who shows these shows as they were then.
func (m stamps) below(paths []string) string {
	if m["mounts"] == "" {
		text, _ := os.ReadFile("/proc/self/mountinfo")
		m["mounts"] = string(text)
	}
	h := sha256.New()
	for line := range strings.Lines(m["mounts"]) {
		point := line // behind id, parent, device and root (proc_pid_mountinfo(5))
		for range 4 {
			_, point, _ = strings.Cut(point, " ")
		}
		if slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(point, p+"/") }) {
			h.Write([]byte(line))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// stamp is of what s, a service of p, is made from: of the files of its own alone, and with those of
// users and groups and what others may write. What it writes itself is as it is (writable has its identity).
func (w *Warden) stamp(m stamps, p *granted.Policy, s *granted.Service) (files, all string) {
	f := &p.Of(s).Files
	paths := slices.Concat(f.Devices, sources(f.Map, slices.Concat(f.Read, f.Exec, []string{w.program(s)})))
	for _, at := range sources(f.Map, f.Write) {
		paths = append(paths, path.Dir(at))
	}
	if f.State {
		paths = append(paths, path.Join(sandbox.StateDir, s.Command.Service))
	}
	files = m.of(paths...) + m.below(sources(f.Map, slices.Concat(f.Read, f.Exec, f.Write)))
	return files, files + m.writable(p) + m.of(accountFiles...)
}

// sources are where the host has the paths of a profile: by their names, and where those lead.
func sources(m hostpath.Map, paths []string) (out []string) {
	for _, p := range paths {
		out = append(out, m.Source(p))
		if len(m) == 0 {
			continue
		}
		if f, err := m.Open(p); err == nil {
			out = append(out, f.Host)
			f.Close()
		}
	}
	return out
}
