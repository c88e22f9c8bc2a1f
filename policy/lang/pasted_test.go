package lang

import (
	"strings"
	"testing"
)

// TestPasted: lines of inetd.conf, and of this language with something left out, are told
// what they are here.
func TestPasted(t *testing.T) {
	for text, want := range map[string]string{
		"finger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd -w\n":                     `service "finger" { on lines of their own: listen = ["tcp://:finger"], command = ["/usr/sbin/in.fingerd", "-w"], user = "nobody"`,
		"127.0.0.1:79\tstream\ttcp\tnowait.40\tnobody.tty\t/usr/sbin/tcpd\t/usr/sbin/in.fingerd\n": `listen = ["tcp://127.0.0.1:79"], command = ["/usr/sbin/in.fingerd"], user = "nobody", group = "tty"`,
		"tftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd /srv\n":                              `listen = ["udp://:tftp"], command = ["/usr/sbin/in.tftpd", "/srv"], user = "root", wait = true`,
		"daytime stream tcp nowait root internal\n":                                                `service "daytime" { on lines of their own: listen = ["tcp://:daytime"], builtin = "daytime"`,
		"service finger\n{\n}\n":                                `write service "finger" {, with the brace on the same line`,
		"service \"finger\"\n{\n}\n":                            `write service "finger" {, with the brace on the same line`,
		"service \"f\" {\n  listen [\"tcp://:79\"]\n}\n":        `write listen = ["tcp://:79"]`,
		"service \"f\" {\n  user \"nobody\"\n}\n":               `write user = "nobody"`,
		"service \"f\" {\n  wait true\n}\n":                     `write wait = true`,
		"service \"f\" {\n  server = /usr/sbin/in.fingerd\n}\n": `command = ["/path/of/program"`,
		"service \"f\" {\n  dir = /srv/data\n}\n":               `write dir = "/srv/data"`,
		"service \"f\" {\n  only_from += 10.0.0.0/8\n}\n":       `write an acl:`,
		"service \"f\" {\n  listen = [127.0.0.1:31300]\n}\n":    `"tcp://127.0.0.1:31300"`,
		"acl \"a\" {\n  allow { from = [10.0.0.0/8] }\n}\n":     `"10.0.0.0/8"`,
	} {
		_, ds := compileText(head + text)
		if len(ds) == 0 || ds[0].Code != codeSyntax && ds[0].Code != codeFeature || !strings.Contains(ds[0].Detail, want) {
			t.Errorf("%s: want %s, got:\n%s", text, want, show(ds))
		}
	}
}

// TestWrongBlock: a word of another program, or of another block, is told where it stands.
func TestWrongBlock(t *testing.T) {
	for line, want := range map[string]string{
		"passenv = \"TZ\"":            "pass_env =",
		`access_times = "8:00-17:00"`: `during = ["08:00-18:00"]`,
		`redirect = "10.0.0.1 80"`:    `write "10.0.0.1:80"`,
		"max_load = 4":                `max_load = "4.0"`,
		`chroot = "/srv"`:             "files {",
		`timeout = "10m"`:             "session =",
		`memory = "64MiB"`:            `profile "NAME" { resources { memory = "64MiB" } }`,
		`cwd = "/srv"`:                "dir =",
		`environment = { A = "b" }`:   "env =",
		`allow = ["10.0.0.0/8"]`:      "allow { from",
		"files {\n}":                  `profile "NAME" { files { ... } }`,
		"penalty {\n}":                `limit "NAME" { penalty { ... } }`,
		"concurrent = 5":              `limit "NAME" { concurrent = 64 }`,
		"nothing_like_it_at_all = 5":  "keepalive",
	} {
		_, ds := compileText(one("acl = acl.anyone\n  " + line))
		if len(ds) != 1 || !strings.Contains(ds[0].Detail, want) && want != "keepalive" || strings.Contains(ds[0].Detail, "...,") || strings.HasSuffix(ds[0].Detail, ", ...") {
			t.Errorf("%s: want %s, got:\n%s", line, want, show(ds))
		}
	}
	_, ds := compileText(head + "service \"e\" {\n  listen = [\"tcp://:7\"]\n  builtin = \"echo\"\n  acl = acl.anyone\n  banner = \"x\"\n}\n")
	if len(ds) != 1 || !strings.Contains(ds[0].Summary, "the worker of a builtin") {
		t.Error(show(ds))
	}
}
