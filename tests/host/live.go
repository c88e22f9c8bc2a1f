package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"casemate/tests/root/rig"
)

// outcome is what became of a service.
type outcome struct {
	before, after error
	explained     *explained
}

// explained is what explain says of a service, as far as it is looked at.
type explained struct {
	Decision string   `json:"decision"`
	ACL      string   `json:"acl"`
	User     string   `json:"user"`
	Profile  string   `json:"profile"`
	Layers   []string `json:"layers"`
}

// layers are what explain must show of the programs of every service.
var layers = []string{"namespaces: ", "network: ", "files: ", "capabilities: ", "syscalls: "}

// live is the life of a host until it has moved.
func live(way, tree string, debs []string) error {
	if err := enter(tree, debs); err != nil {
		return err
	}
	if _, err := script("prepare"); err != nil {
		return err
	}
	if out, err := exec.Command("/etc/init.d/openbsd-inetd", "start").CombinedOutput(); err != nil {
		return fmt.Errorf("start inetd: %w\n%s", err, out)
	}
	if err := rig.Until(time.Minute, services[0].check); err != nil {
		return fmt.Errorf("inetd serves nothing: %w", err)
	}
	outcomes := make([]outcome, len(services))
	for i := range services {
		outcomes[i].before = services[i].asked()
	}
	began := time.Now()
	said, err := script(way)
	if err != nil {
		return err
	}
	if err := serves(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	fmt.Printf("%s: moved within %.1f s; what the script said:\n%s\n", way, time.Since(began).Seconds(), said)
	for i := range services {
		if outcomes[i].after = services[i].asked(); outcomes[i].after != nil {
			outcomes[i].after = fmt.Errorf("%w\n%s", outcomes[i].after, records(services[i].name))
		}
		if outcomes[i].explained, err = services[i].explain(); err != nil {
			outcomes[i].after = errors.Join(outcomes[i].after, err)
		}
	}
	if err := report(way, outcomes); err != nil || way != "import" {
		return err
	}
	return life()
}

// life is that of the package afterwards: it is upgraded, serves as before, and goes.
func life() error {
	if _, err := script("upgrade"); err != nil {
		return err
	}
	if err := serves(); err != nil {
		return fmt.Errorf("after an upgrade: %w", err)
	}
	for i := range services {
		if err := services[i].asked(); err != nil {
			return fmt.Errorf("%s after an upgrade: %w", services[i].name, err)
		}
	}
	cmd := exec.Command("sh")
	text, err := guest.ReadFile("guest/purge")
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(text)), os.Stderr
	left, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("a purge leaves\n%s", left)
	}
	fmt.Println("import: upgraded, served all as before, and purged to nothing")
	return nil
}

// serves waits until every service of the policy is listened for.
func serves() error {
	return rig.Until(time.Minute, func() error {
		out, err := exec.Command("casemate", "status").CombinedOutput()
		if text := string(out); err != nil || !strings.Contains(text, services[0].name) || strings.Contains(text, "retrying") || strings.Contains(text, "broken") {
			return fmt.Errorf("casemated does not serve all: %v\n%s", err, out)
		}
		return nil
	})
}

// script runs one of guest's in the host.
func script(name string) (said string, err error) {
	text, err := guest.ReadFile("guest/" + name)
	if err != nil {
		return "", err
	}
	// What goes on in the background keeps no pipe of this process open.
	log, err := os.CreateTemp("", "script-")
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd := exec.Command("sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(text)), log, log
	err = cmd.Run()
	out, rerr := os.ReadFile(log.Name())
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), rerr
}

// asked is what is wrong with a service for its client and, if it is guarded, for a stranger.
func (s *service) asked() error {
	err := s.check()
	if s.guarded {
		err = errors.Join(err, s.refuses())
	}
	return err
}

// records are the last ones of the log about a service.
func records(name string) string {
	var about []string
	for _, log := range []string{"/var/log/casemate/inetd.log", "/var/log/casemate.log"} {
		text, _ := os.ReadFile(log) // of the two, one is there
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"service":"`+name+`"`) {
				about = append(about, line)
			}
		}
	}
	return strings.Join(about[max(0, len(about)-4):], "")
}

// explain asks casemate about a service, its client and a stranger.
func (s *service) explain() (*explained, error) {
	ask := func(client string) (e explained, err error) {
		cmd := exec.Command("casemate", "explain", s.name, client, "--name", "unknown", "-o", "json")
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &e)
		}
		if err != nil {
			err = fmt.Errorf("explain %s %s: %w\n%s", s.name, client, err, out)
		}
		return e, err
	}
	e, err := ask("127.0.0.1")
	if err != nil {
		return nil, err
	}
	if e.Decision != "allow" {
		err = fmt.Errorf("explain: the client of %s is refused", s.name)
	}
	text := strings.Join(e.Layers, "\n")
	for _, l := range layers {
		if !strings.Contains(text, l) {
			err = errors.Join(err, fmt.Errorf("explain shows no %q of %s", l, s.name))
		}
	}
	if s.guarded {
		other, oerr := ask(stranger)
		if oerr == nil && other.Decision != "deny" {
			oerr = fmt.Errorf("explain: a stranger is admitted to %s", s.name)
		}
		err = errors.Join(err, oerr)
	}
	return &e, err
}

// report prints what became of every service.
func report(way string, outcomes []outcome) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "SERVICE\tBEFORE\t%s\tACL\tUSER\tPROFILE\tLAYERS\n", strings.ToUpper(way))
	word := func(err error) string {
		if err != nil {
			return "fails"
		}
		return "works"
	}
	var errs []error
	for i, o := range outcomes {
		e := o.explained
		if e == nil {
			e = &explained{}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", services[i].name, word(o.before), word(o.after), e.ACL, e.User, e.Profile, len(e.Layers))
		if o.before != nil {
			errs = append(errs, fmt.Errorf("%s before: %w", services[i].name, o.before))
		}
		if o.after != nil {
			errs = append(errs, fmt.Errorf("%s after: %w", services[i].name, o.after))
		}
	}
	if err := w.Flush(); err != nil {
		errs = append(errs, err)
	}
	fmt.Println()
	return errors.Join(errs...)
}
