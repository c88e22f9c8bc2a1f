package valid

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/rootfs/nodes"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
)

// SmallestTmp is the least size in bytes of a private /tmp or /dev/shm.
const SmallestTmp = 4096

// leastStateFiles is the least open_files beside a state directory: each of the starts that are
// under way at once brings one descriptor more, below the zygote's own highest ones.
const leastStateFiles = 24

// Widenable are the layers in which a profile may grant more than its base does: the
// words of widens.
var Widenable = []string{"network", "files", "capabilities", "syscalls", "resources", "user_namespace", "processor"}

// Explained tells whether somebody says why f grants what needs a reason: the
// profile itself, or each service that uses it.
func Explained(p *policy.Policy, f *sandbox.Profile) bool {
	said := f.Because != ""
	for _, list := range [][]policy.Service{p.Services, p.Disabled} {
		for i := range list {
			if s := &list[i]; s.Profile == f.Name && f.Because == "" {
				if s.Because == "" {
					return false
				}
				said = true
			}
		}
	}
	return said
}

// Reason is what the policy says to explain s: its own because, or its profile's.
func Reason(p *policy.Policy, s *policy.Service) string {
	if f := p.Profile(s.Profile); s.Because == "" && f != nil {
		return f.Because
	}
	return s.Because
}

// profile checks one resolved profile.
func (c *checker) profile(p *policy.Policy, i int) {
	f := &p.Profiles[i]
	at := c.order("profiles", i, func(i int) string { return p.Profiles[i].Name })
	between(c, at+".base", len(f.Base), 0, 16)
	for k, b := range f.Base {
		c.name(fmt.Sprintf("%s.base.%d", at, k), b)
	}
	words(c, at+".widens", f.Widens, Widenable...)
	words(c, at+".best_effort", f.BestEffort, Dispensable()...)
	c.text(at+".because", f.Because, 1000)
	explained := Explained(p, f)
	c.network(at, f, explained)
	c.files(at+".files", &f.Files)
	if f.Files.HostProc {
		c.hostProc(at, f, explained)
	}
	if len(f.Files.Devices) > 0 && !explained {
		c.add(at+".files.devices", `say why: because = "..."`, "devices of the host need a reason")
	}
	if f.UserNamespace && f.Files.Proc {
		c.add(at+".user_namespace", "leave out user_namespace, or write proc = false", "a /proc cannot be mounted inside a user namespace")
	}
	if f.UserNamespace && f.Files.State {
		c.add(at+".user_namespace", "leave out user_namespace, or write state = false", "a state directory cannot be mounted inside a user namespace")
	}
	if n := f.Resources[sandbox.OpenFiles]; f.Files.State && n > 0 && n < leastStateFiles {
		c.add(at+".resources.open_files", fmt.Sprintf("write %d or more", leastStateFiles), "open_files = %d leaves no room for the starts of sessions with a state directory", n)
	}
	if f.UserNamespace && f.Init {
		c.add(at+".user_namespace", "leave out user_namespace, or write init = false: the program is process 1 then", "an init is not available inside a user namespace")
	}
	for k, name := range f.Capabilities {
		if !slices.Contains(sandbox.Capabilities, name) {
			c.add(fmt.Sprintf("%s.capabilities.%d", at, k), "write one of: "+strings.Join(sandbox.Capabilities, ", ")+"; no other can be given to a service", "%q is not a capability that a profile may keep", name)
		}
	}
	set(c, at+".capabilities", f.Capabilities)
	if len(f.Capabilities) > 0 && !explained {
		c.add(at+".capabilities", `say why: because = "..."`, "capabilities need a reason")
	}
	c.syscalls(at+".syscalls", &f.Syscalls, p.Filters)
	c.resources(at+".resources", &f.Resources)
	for i, v := range []string{f.Processor.StoreBypass, f.Processor.IndirectBranch, f.Processor.Core} {
		if v != "" {
			oneOf(c, at+".processor."+Kept[i].Name, v, Kept[i].Words[1:]...)
		}
	}
}

// Kept are the attributes of processor with their words, the first the host's own way, which a model has as "", and each
// keeping more to the service than the one before.
var Kept = []struct {
	Name  string
	Words []string
}{{"store_bypass", []string{"host", "off"}}, {"indirect_branch", []string{"host", "off"}}, {"core", []string{"host", "service", "session"}}}

// hostProc: what keeps a service from the memory, files and environment of its
// user's other processes is Landlock alone.
func (c *checker) hostProc(at string, f *sandbox.Profile, explained bool) {
	switch {
	case !f.Files.Proc:
		c.add(at+".files.host_proc", `write proc = "host"`, "the host's processes are shown in a /proc only")
	case !explained:
		c.add(at+".files.proc", `say why: because = "..."`, `proc = "host" needs a reason`)
	case slices.Contains(f.BestEffort, "landlock"):
		c.add(at+".best_effort", `remove "landlock"`, `proc = "host" without Landlock shows the files and memory of all processes of its user`)
	}
}

func (c *checker) network(at string, f *sandbox.Profile, explained bool) {
	n := &f.Network
	oneOf(c, at+".network.mode", n.Mode, sandbox.NetworkModes...)
	if n.Mode != sandbox.NetworkHost && len(n.Connect)+len(n.Bind) > 0 {
		what := "without a network"
		if n.Mode == sandbox.NetworkPrivate {
			what = "in a network of its own, whose ports are all its own"
		}
		c.add(at+".network", `remove the ports, or write network { mode = "host" }`, "ports mean nothing %s", what)
	}
	if n.Mode == sandbox.NetworkHost && !explained {
		c.add(at+".network", `say why: because = "..."`, `network "host" needs a reason`)
	}
	c.ports(at+".network.connect", n.Connect)
	c.ports(at+".network.bind", n.Bind)
}

func (c *checker) ports(at string, list []uint16) {
	set(c, at, list)
	between(c, at, len(list), 0, maxItems)
	if len(list) > 1 && list[0] == 0 {
		c.add(at, "write any port alone, or only numbers", "any port and single ports exclude each other")
	}
}

func (c *checker) files(at string, f *sandbox.Files) {
	seen := map[string]string{}
	for kind, paths := range f.Paths {
		between(c, at+"."+kind, len(paths), 0, maxItems)
		for k, name := range paths {
			here := fmt.Sprintf("%s.%s.%d", at, kind, k)
			if kind == "devices" {
				if !strings.HasPrefix(name, "/dev/") || path.Clean(name) != name {
					c.add(here, `write it as "/dev/ttyS0"`, "%q is not a clean path of a device below /dev", name)
				}
			} else if f.State && strings.HasPrefix(name+"/", sandbox.StateInside+"/") {
				c.add(here, "leave it out, or write state = false", "%q belongs to the service's own state directory", name)
			} else if c.hostPath(here, name) && seen[name] != "" && seen[name] != kind {
				c.add(here, "keep it in one list", "%q is also in %s", name, seen[name])
			}
			seen[name] = kind
		}
		set(c, at+"."+kind, paths)
	}
	c.mapped(at, f)
	for k, name := range f.Optional {
		if seen[name] == "" {
			c.add(fmt.Sprintf("%s.optional.%d", at, k), "name it in read, exec, write or devices too", "%q is in none of these lists", name)
		}
	}
	set(c, at+".optional", f.Optional)
	c.scratch(at+".tmp", f.Tmp)
	c.scratch(at+".shm", f.Shm)
	words(c, at+".dev", f.Dev, nodes.Names...)
}

func (c *checker) scratch(at string, n int64) {
	if n != 0 && (n < SmallestTmp || n > granted.LargestTmp) {
		c.add(at, fmt.Sprintf("choose a size from %dKiB to %dTiB", SmallestTmp>>10, granted.LargestTmp>>40), "%d bytes are out of range", n)
	}
}

// hostPath checks a path of the root tree. The kernel's own trees and the
// places that the sandbox makes itself are not the host's to show.
func (c *checker) hostPath(at, name string) bool {
	if !c.text(at, name, 4095) {
		return false
	}
	switch {
	case !path.IsAbs(name) || path.Clean(name) != name:
		c.add(at, fmt.Sprintf("write it in full, as %q", path.Join("/", strings.Replace(name, "~/", "home/NAME/", 1))), "%q is not an absolute, clean path", name)
		return false
	case name == "/":
		c.add(at, "name the directories it needs", "the whole host cannot be shown")
		return false
	}
	if strings.HasPrefix(name+"/", sandbox.StateDir+"/") {
		c.add(at, "write state = true for the service's own, or move what several services share elsewhere", "%q belongs to the state directories of services", name)
		return false
	}
	top, _, _ := strings.Cut(name[1:], "/")
	switch top {
	case "proc":
		c.add(at, `write proc = true, or proc = "host" to show the host's processes`, "%q belongs to the sandbox's own /proc", name)
	case "dev":
		c.add(at, `write dev = ["null"], pty = true, or shm = "16MiB"`, "%q belongs to the sandbox's own /dev", name)
	case "tmp":
		c.add(at, `write tmp = "1MiB"`, "%q belongs to the sandbox's own /tmp", name)
	default:
		return true
	}
	return false
}

// syscalls checks the words for being text, and nothing more: the filter decides.
func (c *checker) syscalls(at string, s *sandbox.Syscalls, filters granted.Filters) {
	oneOf(c, at+".on_violation", s.OnViolation, filter.Actions...)
	words := slices.Concat(s.Allow, s.Deny)
	for k, r := range s.ByArgument {
		words = append(words, r.Name)
		between(c, fmt.Sprintf("%s.rules.%d.arg", at, k), int(min(r.Arg, 100)), 0, 5)
	}
	for _, name := range words {
		c.text(at, name, 64)
	}
	if _, ok := filters[s.Filter]; !ok {
		c.add(at+".filter", "compile the policy again", "there is no filter %q", s.Filter)
	}
}

// filters holds each to be in canonical form, under its own name, and of some use.
func (c *checker) filters(p *policy.Policy) {
	used := make(map[string]bool)
	for i := range p.Profiles {
		used[p.Profiles[i].Syscalls.Filter] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.Filters)) {
		switch _, err := filter.Decode(p.Filters[name]); {
		case err != nil:
			c.add("filters", "compile the policy again", "%q: %v", name, err)
		case !used[name] || name != FilterName(p.Filters[name]):
			c.add("filters", "compile the policy again", "%q is nobody's filter, or has another's name", name)
		}
	}
}

// FilterName is the name of a filter: the hex SHA-256 of its canonical bytes.
func FilterName(words filter.Words) string {
	b, err := json.Marshal(words)
	if err != nil {
		return "" // numbers are always encoded
	}
	return strings.TrimPrefix(granted.Digest(b), "sha256:")
}

// Dispensable are the words that best_effort may use.
func Dispensable() (words []string) {
	for _, l := range launch.Layers {
		words = append(words, l.Name)
	}
	return words
}

func (c *checker) resources(at string, r *sandbox.Resources) {
	for i, row := range sandbox.ResourceRows {
		if n := r[i]; n != 0 && (n < row.Min || n > row.Max) {
			c.add(at+"."+row.Name, fmt.Sprintf("choose a number from %d to %d", row.Min, row.Max), "%d is out of range", n)
		}
	}
}
