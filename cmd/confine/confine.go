// Package confine lets a program without privileges take from itself what it
// does not need, before it reads what strangers wrote. It is for casemate and
// casemate-worker; casemated confines others with calls of its own, and must have
// no way to put itself into a Landlock domain by mistake: it never links this.
package confine

import (
	"fmt"
	"os"

	ruleset "casemate/sandbox/landlock"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Grant is what is left afterwards, beside the open descriptors. The zero Grant
// is no file, and no tcp connection or listener.
type Grant struct {
	Read    []string // files, and directories with all below; a link stands for what it leads to
	Write   []string // directories in which files are replaced
	Place   []string // directories in which files that are open already take the names of others
	Connect []uint16 // tcp ports
}

// The rights of Grant. Execution is never among them.
const (
	readFile = landlock.AccessFSSet(syscall.AccessFSReadFile)
	readDir  = landlock.AccessFSSet(syscall.AccessFSReadFile | syscall.AccessFSReadDir)
	place    = landlock.AccessFSSet(syscall.AccessFSMakeReg | syscall.AccessFSRemoveFile)
	replace  = readDir | landlock.AccessFSSet(syscall.AccessFSWriteFile|syscall.AccessFSMakeReg|syscall.AccessFSRemoveFile)
)

// Self confines every thread of the process for good. A kernel that knows less
// of Landlock enforces less (see InForce), and one without it nothing; anything
// else that goes wrong is an error, after which the process must not go on.
func Self(g Grant) error {
	var rules []landlock.Rule
	for _, path := range g.Read {
		info, err := os.Stat(path)
		switch {
		case err != nil: // who opens it says so better
		case info.IsDir():
			rules = append(rules, landlock.PathAccess(readDir, path))
		default:
			rules = append(rules, landlock.PathAccess(readFile, path))
		}
	}
	for _, path := range g.Write {
		rules = append(rules, landlock.PathAccess(replace, path).IgnoreIfMissing())
	}
	for _, path := range g.Place {
		rules = append(rules, landlock.PathAccess(place, path))
	}
	for _, port := range g.Connect {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	// V8 is all that a kernel of today can show in a test; what later ones add
	// (unix sockets by path, udp) needs grants of its own.
	if err := landlock.V8.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	return nil
}

// kinds are what Self takes away, by the first Landlock ABI that can.
var kinds = []struct {
	abi  int
	name string
}{{1, "files"}, {ruleset.ABINet, "tcp"}, {ruleset.ABIScopes, "signals"}, {ruleset.ABIScopes, "abstract sockets"}}

// InForce is the kernel's Landlock ABI, 0 when it has none or a filter hides it,
// and what Self enforces there.
func InForce() (abi int, enforced []string) {
	abi = ruleset.ABI()
	for _, k := range kinds {
		if abi >= k.abi {
			enforced = append(enforced, k.name)
		}
	}
	return abi, enforced
}
