package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"casemate/policy/inetd"
)

var errHelp, errVersion = errors.New("help"), errors.New("version")

// Whether an option has an argument. An optional one is glued to its option.
type arity int

const (
	alone arity = iota
	needed
	optional
)

// option is a flag of one inetd or another. A long name has two letters or more.
type option struct {
	names []string
	arity arity
	// take takes the argument; given tells whether there is one.
	take func(s *settings, arg string, given bool) error
}

// options are those that a dialect has, and those of all others that do not contradict it.
func options(d inetd.Dialect) []option {
	pid := optional
	if d == inetd.FreeBSD {
		pid = needed
	}
	yes := func(to func(*settings) *bool) func(*settings, string, bool) error {
		return func(s *settings, _ string, _ bool) error { *to(s) = true; return nil }
	}
	text := func(to func(*settings) *string) func(*settings, string, bool) error {
		return func(s *settings, arg string, _ bool) error {
			if *to(s) = arg; arg == "" {
				return errors.New("its argument is empty: give it a value, or leave it out")
			}
			return nil
		}
	}
	log := func(s *settings, _ string, _ bool) error {
		s.programs = s.programs || d == inetd.Debian
		return nil // every connection has its record in any case
	}
	return []option{
		{[]string{"d", "debug"}, alone, yes(func(s *settings) *bool { return &s.debug })},
		{[]string{"f", "i"}, alone, yes(func(s *settings) *bool { return &s.foreground })},
		{[]string{"e"}, alone, yes(func(s *settings) *bool { return &s.logStderr })},
		{[]string{"p", "pidfile"}, pid, takePid},
		{[]string{"R", "rate"}, needed, takeRate},
		{[]string{"c"}, needed, number(func(s *settings) *int { return &s.concurrent })},
		{[]string{"C"}, needed, takeSourceRate},
		{[]string{"s"}, needed, number(func(s *settings) *int { return &s.perSource })},
		{[]string{"q"}, needed, takeBacklog},
		{[]string{"a"}, needed, takeAddress},
		{[]string{"w"}, alone, yes(func(s *settings) *bool { return &s.programs })},
		{[]string{"W"}, alone, yes(func(s *settings) *bool { return &s.internals })},
		{[]string{"l"}, alone, log},
		{[]string{"environment"}, alone, func(*settings, string, bool) error { return nil }},
		{[]string{"E"}, alone, refuse("inetd's own environment is not handed on: name what a program needs in its service block, as env = { TZ = \"UTC\" }")},
		{[]string{"resolve"}, alone, refuse("nobody's name is asked for on a connection's way: a program that wants it can ask for the address in TCPREMOTEIP itself")},
		{[]string{"dialect"}, needed, text(func(s *settings) *string { return &s.dialect })},
		{[]string{"strict"}, alone, yes(func(s *settings) *bool { return &s.strict })},
		{[]string{"policy"}, needed, text(func(s *settings) *string { return &s.policy })},
		{[]string{"log"}, needed, text(func(s *settings) *string { return &s.log })},
		{[]string{"control"}, needed, text(func(s *settings) *string { return &s.control })},
		{[]string{"libexec"}, needed, text(func(s *settings) *string { return &s.libexec })},
		{[]string{"h", "help"}, alone, func(*settings, string, bool) error { return errHelp }},
		{[]string{"version"}, alone, func(*settings, string, bool) error { return errVersion }},
	}
}

func refuse(why string) func(*settings, string, bool) error {
	return func(*settings, string, bool) error { return errors.New(why) }
}

// parse reads a command line, with the program's name in front.
func parse(argv []string) (*settings, error) {
	s := newSettings()
	d, err := dialectOf(argv)
	if err != nil {
		return nil, err
	}
	s.flagsOf = d
	known := options(d)
	for args := argv[1:]; len(args) > 0; {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			s.configs = append(s.configs, args...)
			args = nil
		case strings.HasPrefix(word, "--"):
			args, err = long(s, known, word, args)
		case len(word) > 1 && word[0] == '-':
			args, err = short(s, known, word, args)
		default:
			s.configs = append(s.configs, word)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, s.settle()
}

// long reads --name, --name=argument or --name argument.
func long(s *settings, known []option, word string, args []string) ([]string, error) {
	name, arg, given := strings.Cut(word[2:], "=")
	o := find(known, name)
	switch {
	case o == nil || len(name) < 2:
		return nil, unknown("--" + name)
	case given && o.arity == alone:
		return nil, fmt.Errorf("--%s takes no argument, and has %q", name, arg)
	case !given && o.arity == needed && len(args) == 0:
		return nil, fmt.Errorf("--%s needs an argument: see inetd --help", name)
	case !given && o.arity == needed:
		arg, given, args = args[0], true, args[1:]
	}
	return args, described("--"+name, o.take(s, arg, given))
}

// short reads a word of flags of one letter: -dl, -R40, -R 40.
func short(s *settings, known []option, word string, args []string) ([]string, error) {
	for rest := word[1:]; rest != ""; {
		name := rest[:1]
		rest = rest[1:]
		o := find(known, name)
		if o == nil {
			return nil, unknown("-" + name)
		}
		arg, given := "", false
		switch {
		case o.arity == alone:
		case rest != "":
			arg, given, rest = rest, true, ""
		case o.arity == needed && len(args) == 0:
			return nil, fmt.Errorf("-%s needs an argument: see inetd --help", name)
		case o.arity == needed:
			arg, given, args = args[0], true, args[1:]
		}
		if err := described("-"+name, o.take(s, arg, given)); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func find(known []option, name string) *option {
	i := slices.IndexFunc(known, func(o option) bool { return slices.Contains(o.names, name) })
	if i < 0 {
		return nil
	}
	return &known[i]
}

func unknown(flag string) error { return fmt.Errorf("there is no flag %s: see inetd --help", flag) }

// described names the flag that an error is about.
func described(flag string, err error) error {
	if err == nil || errors.Is(err, errHelp) || errors.Is(err, errVersion) {
		return err
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// dialectOf is whose flags a command line has: as --dialect says, else as the program is
// called, else debian's. It is read first, for other flags depend on it.
func dialectOf(argv []string) (inetd.Dialect, error) {
	d, last := "", len(argv)
	for i, word := range argv {
		switch name, arg, given := strings.Cut(word, "="); {
		case word == "--" && i > 0:
			last = min(last, i)
		case i == 0 || i > last || name != "--dialect":
		case given:
			d = arg
		case i+1 < len(argv):
			d = argv[i+1]
		}
	}
	if d != "" && !slices.Contains(inetd.Dialects, inetd.Dialect(d)) {
		return "", fmt.Errorf("--dialect: %q is not known: it is one of %v", d, inetd.Dialects)
	}
	called := ""
	if len(argv) > 0 {
		called = filepath.Base(argv[0])
	}
	for _, by := range []struct {
		part string
		is   inetd.Dialect
	}{
		{"inetutils", inetd.GNU}, {"gnu", inetd.GNU}, {"freebsd", inetd.FreeBSD}, {"netbsd", inetd.NetBSD}, {"busybox", inetd.Busybox},
		{"openbsd-inetd", inetd.Debian}, // as Debian calls its own
		{"openbsd", inetd.OpenBSD},
	} {
		if strings.Contains(called, by.part) {
			return cmp.Or(inetd.Dialect(d), by.is), nil
		}
	}
	return cmp.Or(inetd.Dialect(d), inetd.Debian), nil
}
