// Package facts is what a host answers to the questions that a policy asks of it: who its users are, where its paths
// lead and who may change them, which addresses are taken, what its kernel knows. They are gathered on the host,
// read-only, and decide there (check --host) and on any other machine (check --facts) by the same code: what
// decides asks Facts, and only while they are gathered these ask the host.
package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"

	"casemate/cmd/casemate/dynlink"
	"casemate/cmd/casemate/output"
	"casemate/listener/host"
	"casemate/policy"
)

// MaxSize bounds a file of facts, in bytes.
const MaxSize = 32 << 20

// Facts are of one host. What is 0 or empty is not known, but for the lists.
type Facts struct {
	FormatVersion int    `json:"format_version"`
	Gathered      string `json:"gathered,omitempty"` // the day
	Kernel        string `json:"kernel,omitempty"`   // its release
	// Root says that they were gathered by root, who may look at everything.
	Root        bool `json:"as_root"`
	LandlockABI int  `json:"landlock_abi"`
	// Memory is in bytes, with swap; Tasks the lower of kernel.threads-max and kernel.pid_max.
	Memory      int64    `json:"memory_bytes,omitempty"`
	Tasks       int64    `json:"tasks,omitempty"`
	Controllers []string `json:"controllers,omitempty"` // of cgroup v2
	// Services is the host's services(5).
	Services string `json:"services,omitempty"`
	// Worker is where casemate-worker is, beside the casemate that gathered.
	Worker string `json:"worker,omitempty"`
	// Sockets are those that listen, Addresses those of the host's interfaces; nil is not known.
	Sockets   []Socket     `json:"sockets,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Vsock is the cid of the host's vsocks, NoVsock where nothing reaches them.
	Vsock string `json:"vsock,omitempty"`
	// StateFS is the kind of the file system of services' state where it takes no maps of ids, as that of files { state } needs.
	StateFS string `json:"state_fs,omitempty"`
	// Policy is what casemated would find wrong with the files of the policy as they lie there.
	Policy []policy.Diagnostic `json:"policy,omitempty"`
	// Users and Groups are the answers by name, Paths those about the file system by question.
	Users  map[string]Account `json:"users,omitempty"`
	Groups map[string]Account `json:"groups,omitempty"`
	Paths  map[string]*Answer `json:"paths,omitempty"`

	live *dynlink.Here // where the questions are asked; nil is nowhere
	read *host.Accounts
}

// Account is a user or a group, or why there is none.
type Account struct {
	UID   uint32 `json:"uid,omitempty"`
	GID   uint32 `json:"gid,omitempty"`
	Error string `json:"error,omitempty"`
}

// Unknown is the error of what was not asked when the facts were gathered.
type Unknown struct{ Question string }

// Error says what is not known.
func (e *Unknown) Error() string { return "not known: " + e.Question }

// here are facts that ask this host.
func here() *Facts {
	return &Facts{FormatVersion: 1, live: &dynlink.Here{}, Users: map[string]Account{}, Groups: map[string]Account{}, Paths: map[string]*Answer{}}
}

// Read takes a file of facts apart. It may come from anywhere: what its paths are is checked, its texts are made printable.
func Read(r io.Reader) (*Facts, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("larger than %dMiB", MaxSize>>20)
	}
	f := &Facts{}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the facts")
	}
	if f.FormatVersion != 1 {
		return nil, fmt.Errorf("format_version %d is not known: gather them with this casemate", f.FormatVersion)
	}
	for question, a := range f.Paths {
		if err := a.sound(0); err != nil {
			return nil, fmt.Errorf("paths: %q: %w", question, err)
		}
	}
	for _, accounts := range []map[string]Account{f.Users, f.Groups} {
		for name, a := range accounts {
			a.Error = output.OneLine(a.Error)
			accounts[name] = a
		}
	}
	for i := range f.Policy {
		d := &f.Policy[i]
		*d = policy.Diagnostic{Severity: policy.SeverityError, Code: "CM001", Summary: output.OneLine(d.Summary), Detail: output.OneLine(d.Detail), File: output.OneLine(d.File)}
	}
	f.Vsock, f.StateFS = output.OneLine(f.Vsock), output.OneLine(f.StateFS)
	for i := range f.Sockets {
		f.Sockets[i].Who = output.OneLine(f.Sockets[i].Who)
	}
	return f, nil
}

// absolute are paths that code which goes up from a path to the root can take.
func absolute(p string) bool { return path.IsAbs(p) && path.Clean(p) == p }

// Write writes facts as Read takes them.
func (f *Facts) Write(w io.Writer) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	_, err = w.Write(append(output.EscapeJSON(text), '\n'))
	return err
}
