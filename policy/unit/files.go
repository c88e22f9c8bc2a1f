package unit

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox"
)

// files makes an empty root, and in it what the profile names.
func (w *writer) files(f *sandbox.Files) {
	w.WriteString("\n")
	w.set("ProtectSystem", "strict")
	home := "yes"
	for _, paths := range f.Paths {
		if slices.ContainsFunc(paths, inHome) {
			home = "tmpfs"
		}
	}
	w.set("ProtectHome", home)
	w.set("TemporaryFileSystem", "/:ro,nosuid,nodev")
	for kind, paths := range f.Paths {
		name := map[string]string{"read": "BindReadOnlyPaths", "exec": "BindReadOnlyPaths", "write": "BindPaths", "devices": "BindPaths"}[kind]
		shown := prefixed(f, paths)
		for i, p := range paths {
			if from := f.Map.Source(p); from != p && kind != "devices" {
				shown[i] = placed(shown[i], from, p)
			}
		}
		w.list(name, shown)
	}
	w.set("BindReadOnlyPaths", w.programAt(f))
	w.set("NoExecPaths", "/")
	w.list("ExecPaths", append([]string{prefixed(&sandbox.Files{}, []string{w.program})[0]}, prefixed(f, f.Exec)...))
	w.scratch(f)
	w.devices(f)
	w.set("ProtectProc", map[bool]string{false: "invisible", true: "default"}[f.HostProc])
	w.set("ProcSubset", map[bool]string{false: "pid", true: "all"}[f.HostProc])
	if !f.Proc {
		w.note("No /proc at all: systemd mounts one where it hides processes.")
	}
	if f.State {
		w.set("StateDirectory", "casemate-%p")
	}
	if f.Log {
		w.set("BindReadOnlyPaths", "/dev/log")
	}
}

// programAt is the program, and where the host has it.
func (w *writer) programAt(f *sandbox.Files) string {
	text := prefixed(&sandbox.Files{}, []string{w.program})[0]
	if from := f.Map.Source(w.program); from != w.program {
		return placed(text, from, w.program)
	}
	return text
}

// placed is a path of a list with where the host has it in front, as systemd writes a bind.
func placed(text, from, to string) string {
	missing := ""
	if strings.HasPrefix(strings.TrimPrefix(text, `"`), "-") {
		missing = "-"
	}
	pair := missing + escaped(from) + ":" + escaped(to)
	if strings.ContainsAny(pair, " \t'\"\\;") {
		return `"` + pair + `"`
	}
	return pair
}

// escaped writes a path without what systemd would take for more: a colon would begin another path and a % a specifier.
func escaped(p string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, ":", `\:`, "%", "%%").Replace(p)
}

// prefixed are paths with a - before each that may be missing, as systemd writes it.
func prefixed(f *sandbox.Files, paths []string) (out []string) {
	for _, p := range paths {
		text := escaped(p)
		if slices.Contains(f.Optional, p) {
			text = "-" + text
		}
		if strings.ContainsAny(text, " \t'\"\\;") {
			text = `"` + text + `"`
		}
		out = append(out, text)
	}
	return out
}

func inHome(p string) bool {
	return slices.ContainsFunc([]string{"/home", "/root", "/run/user"}, func(top string) bool { return p == top || strings.HasPrefix(p, top+"/") })
}

// scratch is what each connection has for itself.
func (w *writer) scratch(f *sandbox.Files) {
	w.yes("PrivateTmp")
	hidden := []string{"-/var/tmp"}
	for _, s := range []struct {
		path string
		size int64
	}{{"/tmp", f.Tmp}, {"/dev/shm", f.Shm}} {
		if s.size == 0 {
			hidden = append(hidden, "-"+s.path)
		} else {
			w.set("TemporaryFileSystem", fmt.Sprintf("%s:size=%d,mode=1777,nosuid,nodev,noexec", s.path, s.size))
		}
	}
	w.set("InaccessiblePaths", hidden...)
}

// devices: a private /dev has more in it than a profile shows.
func (w *writer) devices(f *sandbox.Files) {
	w.set("DevicePolicy", "closed")
	if len(f.Devices) > 0 {
		for _, d := range prefixed(&sandbox.Files{}, f.Devices) {
			w.set("DeviceAllow", d+" rw")
		}
		w.note("/dev is the host's, for the sake of these; the profile shows no other than %s.", strings.Join(append(slices.Clone(f.Dev), f.Devices...), ", "))
		return
	}
	w.yes("PrivateDevices")
	shown := "nothing"
	if len(f.Dev) > 0 {
		shown = strings.Join(f.Dev, ", ")
	}
	if f.Pty {
		shown += " and pseudo-terminals of its own"
	}
	w.note("Of /dev the profile shows %s; systemd's has always the same devices, and the host's terminals (ptmx).", shown)
}
