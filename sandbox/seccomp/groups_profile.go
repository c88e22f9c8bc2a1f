package seccomp

// profileGroups are the lists of the shipped profiles. Each of strict, line,
// files, server, login contains the one before it, and none of these has a call that
// reaches the network beyond the socket the service was given (see Reach).
var profileGroups = map[string]group{
	"@strict": {
		doc:      "a program that starts, reads its socket, writes to it and ends",
		includes: []string{"@process-basic", "@loader", "@memory", "@signal", "@time", "@stdio", "@socket-io"},
	},
	"@line": {
		doc:      "a service that reads files, with threads if it likes, in one process",
		includes: []string{"@strict", "@dir", "@file-read", "@threads", "@event"},
	},
	"@files": {
		doc:      "a service that writes files as well",
		includes: []string{"@line", "@file-write"},
	},
	"@server": {
		doc:      "a service of several programs: shells, helpers, interpreters",
		includes: []string{"@files", "@process", "@ipc", "@file-attr", "@timers", "@signalfd"},
	},
	"@login": {
		doc:      "a service that gives a session on a terminal",
		includes: []string{"@server", "@tty", "@pty"},
	},
	"@builtin": {
		doc:      "the services that casemate has itself: a static Go program on listening sockets it was given",
		includes: []string{"@go", "@socket-accept", "@file-read", "@landlock"},
	},
	"@relay": {
		doc:      "casemate's relay of a redirect: a static Go program that carries bytes between two sockets it was given",
		includes: []string{"@go", "@socket-io", "@landlock"},
		calls:    []string{"splice"},
		rules:    [][]Rule{is("ioctl", 1, tiocOutq)},
	},
}
