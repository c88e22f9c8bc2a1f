package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Accounts are the host's users and groups as passwd(5) and group(5) list them.
// Name services that need a library (LDAP, SSSD) would run their plug-ins in the
// privileged process, so they are not asked; numbers always work.
type Accounts struct {
	users  map[string][2]uint32 // uid and gid by name
	byUID  map[uint32]uint32    // gid by uid
	groups map[string]uint32
}

// ReadAccounts reads both files.
func ReadAccounts() (*Accounts, error) {
	passwd, perr := os.ReadFile("/etc/passwd")
	group, err := os.ReadFile("/etc/group")
	if err = errors.Join(perr, err); err != nil {
		return nil, err
	}
	return ParseAccounts(string(passwd), string(group)), nil
}

// ParseAccounts skips lines that are not entries (comments, NIS "+" lines). The
// first of two entries with one name or uid counts, as for getpwnam(3).
func ParseAccounts(passwd, group string) *Accounts {
	a := &Accounts{users: make(map[string][2]uint32), byUID: make(map[uint32]uint32), groups: make(map[string]uint32)}
	// From the last entry to the first, which is then what is left.
	for _, line := range slices.Backward(strings.Split(passwd, "\n")) {
		f := strings.Split(line, ":")
		if len(f) != 7 || f[0] == "" {
			continue
		}
		uid, uerr := accountID(f[2])
		gid, gerr := accountID(f[3])
		if uerr == nil && gerr == nil {
			a.users[f[0]], a.byUID[uid] = [2]uint32{uid, gid}, gid
		}
	}
	for _, line := range slices.Backward(strings.Split(group, "\n")) {
		f := strings.Split(line, ":")
		if len(f) != 4 || f[0] == "" {
			continue
		}
		if gid, err := accountID(f[2]); err == nil {
			a.groups[f[0]] = gid
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

// User gives the ids of a user name or number. A number without an entry has a
// group of the same number.
func (a *Accounts) User(s string) (uid, gid uint32, err error) {
	if ids, ok := a.users[s]; ok {
		return ids[0], ids[1], nil
	}
	if uid, err = accountID(s); err != nil {
		return 0, 0, fmt.Errorf("user %q is not in /etc/passwd: add it, or name another", s)
	}
	if gid, ok := a.byUID[uid]; ok {
		return uid, gid, nil
	}
	return uid, uid, nil
}

// Group gives the id of a group name or number.
func (a *Accounts) Group(s string) (uint32, error) {
	if gid, ok := a.groups[s]; ok {
		return gid, nil
	}
	gid, err := accountID(s)
	if err != nil {
		return 0, fmt.Errorf("group %q is not in /etc/group: add it, or name another", s)
	}
	return gid, nil
}
