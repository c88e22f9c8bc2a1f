package main

import "strings"

// command is a line to paste into a shell that runs casemate with these words. Of a verb that asks casemated it is asking.
func command(words ...string) string { return shellLine(append([]string{"casemate"}, words...)) }

// asking is the line of a verb that asks the casemated which this one asks.
func (a *app) asking(words ...string) string { return command(append(words, a.asked()...)...) }

// asked are the words by which a verb asks the casemated that this one asks, none where that is the default.
func (a *app) asked() []string {
	if a.control == controlPath {
		return nil
	}
	return []string{"--control", a.control}
}

// policyWords are the words that name, behind a verb that takes paths, the policy at paths or the running one.
func (a *app) policyWords(paths ...string) []string {
	if len(paths) == 1 && paths[0] == running {
		return a.asked()
	}
	return paths
}

// shellLine is words as a line for a shell.
func shellLine(words []string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, shellWord(w))
	}
	return strings.Join(quoted, " ")
}

// shellWord is w as one word of a shell's line.
func shellWord(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
