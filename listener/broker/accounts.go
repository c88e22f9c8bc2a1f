package broker

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"casemate/policy"
)

// accounts are the host's users and groups as passwd(5) and group(5) list them.
// Name services that need a library (LDAP, SSSD) would run their plug-ins in the
// privileged process, so they are not asked; numbers always work.
type accounts struct {
	users  map[string][2]uint32 // uid and gid by name
	byUID  map[uint32]uint32    // gid by uid
	groups map[string]uint32
}

// readAccounts reads both files.
func readAccounts() (*accounts, error) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		return nil, err
	}
	return parseAccounts(string(passwd), string(group)), nil
}

// parseAccounts skips lines that are not entries (comments, NIS "+" lines). The
// first of two entries with one name or uid counts, as for getpwnam(3).
func parseAccounts(passwd, group string) *accounts {
	a := &accounts{users: make(map[string][2]uint32), byUID: make(map[uint32]uint32), groups: make(map[string]uint32)}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 7 || f[0] == "" {
			continue
		}
		uid, uerr := accountID(f[2])
		gid, gerr := accountID(f[3])
		if uerr != nil || gerr != nil {
			continue
		}
		if _, ok := a.users[f[0]]; !ok {
			a.users[f[0]] = [2]uint32{uid, gid}
		}
		if _, ok := a.byUID[uid]; !ok {
			a.byUID[uid] = gid
		}
	}
	for line := range strings.Lines(group) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 4 || f[0] == "" {
			continue
		}
		if gid, err := accountID(f[2]); err == nil {
			if _, ok := a.groups[f[0]]; !ok {
				a.groups[f[0]] = gid
			}
		}
	}
	return a
}

// accountID is a decimal uid or gid. The highest number means "no id" to the kernel.
func accountID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// user gives the ids of a user name or number. A number without an entry has a
// group of the same number.
func (a *accounts) user(s string) (uid, gid uint32, err error) {
	if ids, ok := a.users[s]; ok {
		return ids[0], ids[1], nil
	}
	if uid, err = accountID(s); err != nil {
		return 0, 0, fmt.Errorf("user %q is not in /etc/passwd", s)
	}
	if gid, ok := a.byUID[uid]; ok {
		return uid, gid, nil
	}
	return uid, uid, nil
}

// group gives the id of a group name or number.
func (a *accounts) group(s string) (uint32, error) {
	if gid, ok := a.groups[s]; ok {
		return gid, nil
	}
	gid, err := accountID(s)
	if err != nil {
		return 0, fmt.Errorf("group %q is not in /etc/group", s)
	}
	return gid, nil
}

// identity is who a service runs as.
type identity struct {
	UID, GID uint32
	Groups   []uint32
	Dynamic  bool
}

// resolve finds the ids of a service. Errors name the attribute.
func (a *accounts) resolve(s *policy.Service) (id identity, err error) {
	if s.User == "dynamic" {
		id.Dynamic = true
		if s.Group != "" {
			return id, fmt.Errorf("services.%s.group: a leased uid has its own group", s.Name)
		}
	} else if id.UID, id.GID, err = a.user(s.User); err != nil {
		return id, fmt.Errorf("services.%s.user: %w", s.Name, err)
	}
	if s.Group != "" {
		if id.GID, err = a.group(s.Group); err != nil {
			return id, fmt.Errorf("services.%s.group: %w", s.Name, err)
		}
	}
	for i, g := range s.Groups {
		gid, err := a.group(g)
		if err != nil {
			return id, fmt.Errorf("services.%s.groups.%d: %w", s.Name, i, err)
		}
		id.Groups = append(id.Groups, gid)
	}
	return id, nil
}
