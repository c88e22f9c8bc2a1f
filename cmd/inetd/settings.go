package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/inetd"
	"casemate/policy/input"
	"casemate/policy/valid"
)

// unset is a number that no flag gives; unbounded is what 0 means, and no service reaches.
const (
	unset     = -1
	unbounded = valid.MaxCount
)

const (
	pidFile = "/run/inetd.pid"
	logFile = "/var/log/casemate/inetd.log"
)

// settings are what a command line says.
type settings struct {
	flagsOf inetd.Dialect

	debug, foreground, logStderr, strict bool
	// programs and internals: hosts.allow and hosts.deny are asked for every one of them.
	programs, internals bool

	pid      string // "" is none
	pidGiven bool
	// rate and sourceRate are as a policy writes them; "" is unset.
	rate, sourceRate               string
	concurrent, perSource, backlog int
	address                        netip.Addr
	dialect, policy, log           string
	control, libexec               string
	configs                        []string
}

func newSettings() *settings {
	return &settings{concurrent: unset, perSource: unset, backlog: unset, pid: pidFile, control: input.DefaultControlPath}
}

// settle finishes what flags say together.
func (s *settings) settle() error {
	if s.debug {
		s.foreground, s.logStderr = true, true
	}
	if s.logStderr && s.log != "" && s.log != "-" {
		return errors.New("--log and -e or -d say two places for the log: leave one out")
	}
	switch {
	case s.logStderr && !s.foreground:
		return errors.New("-e needs -f: what goes on in the background has no stderr; write --log FILE")
	case s.log == "-" && !s.foreground:
		return errors.New("--log - needs -f: what goes on in the background has no stderr")
	case s.log == "" && s.foreground:
		s.log = "-"
	case s.log == "":
		s.log = logFile
	}
	if s.foreground && !s.pidGiven {
		s.pid = ""
	}
	if slices.Contains(s.configs, "") {
		return errors.New("a CONFIG is empty: name a table, or leave it out")
	}
	paths := []*string{&s.control, &s.libexec, &s.policy, &s.pid, &s.log}
	for i := range s.configs {
		paths = append(paths, &s.configs[i])
	}
	for _, p := range paths {
		if *p == "" || *p == "-" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

func takePid(s *settings, arg string, given bool) error {
	s.pid, s.pidGiven = arg, true
	return nil
}

// count reads a number of 0 or more, where 0 is no bound.
func count(arg string) (int, error) {
	n, err := strconv.ParseUint(arg, 10, 32)
	if err != nil || n > unbounded {
		return 0, fmt.Errorf("%q is no number from 0 to %d", arg, unbounded)
	}
	if n == 0 {
		n = unbounded
	}
	return int(n), nil
}

func number(to func(*settings) *int) func(*settings, string, bool) error {
	return func(s *settings, arg string, _ bool) (err error) {
		*to(s), err = count(arg)
		return err
	}
}

// rateOf is n in a time as a policy writes it; as many as nobody reaches is so in a second.
func rateOf(n int, per string) string {
	if n == unbounded {
		per = "s"
	}
	return fmt.Sprintf("%d/%s", n, per)
}

func takeRate(s *settings, arg string, _ bool) error {
	n, err := count(arg)
	s.rate = rateOf(n, "min")
	return err
}

// times are what may stand behind the slash of -C.
var times = map[string]string{"": "min", "s": "s", "min": "min", "m": "min", "h": "h", "d": "d", "1": "s", "60": "min", "3600": "h", "86400": "d"}

func takeSourceRate(s *settings, arg string, _ bool) error {
	number, time, slash := strings.Cut(arg, "/")
	per, ok := times[time]
	if !ok || slash && time == "" {
		return fmt.Errorf("%q is no time to count in: write s, min, h or d, or 1, 60, 3600 or 86400 seconds", time)
	}
	n, err := count(number)
	s.sourceRate = rateOf(n, per)
	return err
}

func takeBacklog(s *settings, arg string, _ bool) error {
	n, err := strconv.ParseUint(arg, 10, 32)
	if err != nil || n < 1 || n > valid.MaxBacklog {
		return fmt.Errorf("%q is no number from 1 to %d", arg, valid.MaxBacklog)
	}
	s.backlog = int(n)
	return nil
}

func takeAddress(s *settings, arg string, _ bool) error {
	a, err := netip.ParseAddr(strings.Trim(arg, "[]"))
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return fmt.Errorf("%q is no address, as 192.0.2.1 or 2001:db8::1: nobody is asked for names", arg)
	}
	s.address = a
	return nil
}
