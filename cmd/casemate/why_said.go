package main

import (
	"slices"
	"strings"

	"casemate/listener/journal"
)

// Kernels tell nobody of a limit that does no more than make a call fail, nor of what they refuse for want of a
// capability. What programs say of it is in the log: in the C library's words, or in those of runtimes.

// sayings are such words, in small letters, and what of a profile has programs say them.
var sayings = []struct {
	words []string
	attrs []string // as a record may have named them; nil where a denied call is what they speak of
	means string
}{
	{[]string{"too many open files"}, []string{"resources.open_files"}, "resources { open_files }"},
	{[]string{"cannot allocate memory", "out of memory", "failed to reserve", "failed to map segment", "memoryerror", "virtual memory exhausted"},
		[]string{"resources.address_space", "resources.data", "resources.memory"}, "resources { address_space }, { data }, { stack } or { locked }"},
	{[]string{"no space left on device", "disk quota exceeded"}, []string{"files.tmp"}, "files { tmp }, or state, or a full disk below files { write }"},
	{[]string{"file too large"}, []string{"resources.file_size"}, "resources { file_size }"},
	{[]string{"fork: resource temporarily unavailable", "fork failed", "cannot fork", "can't fork", "can't start new thread", "unable to create thread", "failed to create new os thread",
		"pthread_create: resource temporarily unavailable", "pthread_create failed", "blockingioerror: [errno 11]"},
		[]string{"resources.tasks", "resources.processes", "tasks"}, "resources { tasks } or { processes }"},
	{[]string{"runtime stack:", "fatal error: runtime"}, []string{}, "Go's runtime, and base = profile.go is for Go programs"},
	{[]string{"operation not permitted"}, nil, "a capability that the profile does not have (as for chown, setuid, setgroups, and ports below 1024)"},
	{[]string{"permission denied"}, nil, "files { read }, { write } or { exec } without the path (Landlock), the owner and mode of a file, or a port below 1024"},
}

// tellSaid prints what the words of a session's program point to, and that this is no more than its word.
func (a *app) tellSaid(found []logged) {
	var named []string // limits that its end has told of
	denied := false
	for _, r := range found {
		var bounds []bound
		r.read("limits", &bounds)
		for _, b := range bounds {
			named = append(named, b.Limit)
		}
		denied = denied || r.text("msg") == "denied"
	}
	for _, s := range sayings {
		if slices.ContainsFunc(s.attrs, func(attr string) bool { return slices.Contains(named, attr) }) || s.attrs == nil && denied {
			continue // that is what it speaks of
		}
		i := slices.IndexFunc(found, func(r logged) bool {
			text := strings.ToLower(r.text("text"))
			return slices.Contains([]string{"stderr", "stdout", "syslog"}, r.text("msg")) && slices.ContainsFunc(s.words, func(w string) bool { return strings.Contains(text, w) })
		})
		if i >= 0 {
			a.printf("  its words (%s) may come of %s\n", short(found[i].text("text")), s.means)
		}
	}
}

// short is the beginning of a line.
func short(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}

// diedAtStart tells whether the kernel may have killed a program before its first word: a program that its limits
// have no room for dies within execve, which has given up the one before by then.
func diedAtStart(found []logged) bool {
	return slices.ContainsFunc(found, func(r logged) bool {
		sig := r.text("signal")
		return r.text("msg") == "session" && r.text("reason") == journal.Crash && (sig == "SIGSEGV" || sig == "SIGKILL") && r.text("user_ms") == "0" && r["limits"] == nil
	}) && !slices.ContainsFunc(found, func(r logged) bool { return slices.Contains([]string{"stderr", "stdout", "denied"}, r.text("msg")) })
}
