package granted

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/machine"
)

// The bounds of what root does for one policy.
const (
	MaxSockets  = 16384   // listening sockets
	MaxPrograms = 1024    // of Commands
	LargestTmp  = 1 << 40 // bytes of a private /tmp, and of a private /dev/shm
)

// Check checks what casemated itself depends on, whoever wrote the policy: names are those of files and of
// nothing else, every reference leads somewhere, the work is bounded, each socket is one that the kernel can be asked for
// and there once, and no number means "no limit" by being out of range. What a layer has to refuse in any case (a
// path, a user, a word of its own) is left to it.
func (p *Policy) Check() error {
	switch {
	case p.Machine != machine.Compiled:
		return errors.New("it was compiled on another architecture, whose system calls have other numbers than those of " + machine.Name + ": compile it here")
	case !InOrder(p.Profiles, profileName) || !InOrder(p.Services, serviceName):
		return ErrOrder
	case len(p.Commands) > MaxPrograms:
		return fmt.Errorf("more than %d commands of rules", MaxPrograms)
	}
	for i := range p.Profiles {
		f := &p.Profiles[i]
		if err := confines(f); err != nil {
			return fmt.Errorf("profiles.%s: %w", f.Name, err)
		}
		if _, ok := p.Filters[f.Syscalls.Filter]; !ok {
			return fmt.Errorf("profiles.%s: there is no filter %q", f.Name, f.Syscalls.Filter)
		}
	}
	open := make(map[string]bool)
	for i, s := range p.All() {
		err := p.runs(s)
		if err == nil && i < len(p.Services) {
			err = s.opens(open)
		} else if Find(p.Services, s.Command.Service, serviceName) == nil || err == nil && len(s.Sockets) > 0 {
			err = errors.New("the command of a rule has no service, or sockets of its own")
		}
		if err != nil {
			return fmt.Errorf("services.%s: %w", s.Command.Service, err)
		}
	}
	return nil
}

func profileName(f *sandbox.Profile) string { return f.Name }
func serviceName(s *Service) string         { return s.Command.Service }

// ErrOrder is the error of lists that are not InOrder.
var ErrOrder = errors.New("blocks need names, and are sorted by them, each there once")

// InOrder tells whether all of a list have names, by which they are sorted, none there
// twice: they are looked up by them, and the names are part of paths and records.
func InOrder[T any](list []T, name func(*T) string) bool {
	for i := range list {
		if n := name(&list[i]); !ValidName(n) || i > 0 && name(&list[i-1]) >= n {
			return false
		}
	}
	return true
}

// ValidName tells whether s may name a block: 1 to 63 lower-case letters, digits,
// _ and -, with a letter first.
func ValidName(s string) bool {
	const more = "0123456789_-"
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz"+more) == "" && !strings.ContainsAny(s[:1], more)
}

// Find searches a list that is InOrder; on another one it may miss.
func Find[T any](list []T, name string, of func(*T) string) *T {
	i, ok := sort.Find(len(list), func(i int) int { return strings.Compare(name, of(&list[i])) }) // by place: an element is large
	if !ok {
		return nil
	}
	return &list[i]
}

// confines checks the words and numbers of a profile that no layer refuses.
func confines(f *sandbox.Profile) error {
	if !slices.Contains(sandbox.NetworkModes, f.Network.Mode) {
		return fmt.Errorf("network mode %q is not known", f.Network.Mode)
	}
	for _, name := range f.Capabilities {
		if !slices.Contains(sandbox.Capabilities, name) {
			return fmt.Errorf("no service may keep the capability %q", name)
		}
	}
	for i, row := range sandbox.ResourceRows {
		if n := f.Resources[i]; n != 0 && (n < row.Min || n > row.Max) {
			return fmt.Errorf("%s: %d is out of range", row.Name, n)
		}
	}
	if min(f.Files.Tmp, f.Files.Shm) < 0 || max(f.Files.Tmp, f.Files.Shm) > LargestTmp {
		return errors.New("the size of tmp or shm is out of range")
	}
	return nil
}

// runs checks what is to be started for s.
func (p *Policy) runs(s *Service) error {
	c := &s.Command
	switch {
	case p.Of(s) == nil:
		return errors.New("the profile that it names is not there")
	case c.UID|c.GID != 0 || len(c.Groups) > 0 || c.Dynamic || c.UserTasks != 0 || c.HostPIDs:
		return errors.New("its ids stand in the policy, where names of users are to be")
	case c.Nice < -20 || c.Nice > 19 || c.OOMScore < 0 || c.OOMScore > 1000:
		return errors.New("nice or oom_score is out of range")
	case c.Sessions < 0 || c.Outputs > 2 || c.Sockets < 1 || c.Sockets > sandbox.MaxSockets+2: // a builtin's own two
		return errors.New("the number of its sessions, outputs or sockets is out of range")
	}
	return nil
}

// opens counts the sockets of s among those of the policy.
func (s *Service) opens(open map[string]bool) error {
	for i := range s.Sockets {
		e := &s.Sockets[i].Spec
		if !e.Valid() || e.UID|e.GID != 0 || e.Mode > 0o777 || e.Backlog < 0 || e.Network == "unixgram" && !e.Wait {
			return fmt.Errorf("%s is no socket that can be opened, or not as it is written", e.Key())
		}
		key := e.Key()
		if e.Unix() {
			key = e.Path
		}
		if open[key] || len(open) == MaxSockets {
			return fmt.Errorf("%s is taken already, or one of more than %d sockets", e.Key(), MaxSockets)
		}
		open[key] = true
	}
	return nil
}
