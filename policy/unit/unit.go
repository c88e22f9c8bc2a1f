// Package unit writes the systemd units that come nearest to a profile: a socket and the service
// that it starts for each connection. They are for comparing: for who knows systemd's words,
// and for systemd-analyze security, which judges from outside. What systemd cannot say stands in
// them as a comment.
package unit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/explain"
	"casemate/sandbox"
	"casemate/sandbox/resource"
	"casemate/sandbox/seccomp"
)

// Unit is one unit file.
type Unit struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// program stands for what the service runs: a profile names none.
const program = "/usr/sbin/PROGRAM"

// writer collects the lines of a unit, of a profile or of a service that has it.
type writer struct {
	strings.Builder
	program string
	service *policy.Service // nil for a profile alone
}

func (w *writer) set(name string, values ...string) {
	fmt.Fprintf(w, "%s=%s\n", name, strings.Join(values, " "))
}

func (w *writer) yes(names ...string) {
	for _, n := range names {
		w.set(n, "yes")
	}
}

// note writes what systemd cannot say.
func (w *writer) note(format string, args ...any) {
	fmt.Fprintf(w, "# "+format+"\n", args...)
}

// list writes values in lines that a terminal holds; systemd adds the lines up.
func (w *writer) list(name string, values []string) {
	const width = 96
	for len(values) > 0 {
		n, size := 0, len(name)
		for n < len(values) && (n == 0 || size+len(values[n])+1 < width) {
			size += len(values[n]) + 1
			n++
		}
		w.set(name, values[:n]...)
		values = values[n:]
	}
}

// Units gives the socket and the service of a profile. An error is that of system calls
// which mean nothing.
func Units(p *sandbox.Profile) ([]Unit, error) {
	rules, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", p.Name, err)
	}
	service := &writer{program: program}
	fmt.Fprintf(service, "[Unit]\nDescription=What comes nearest to casemate's profile.%s\nCollectMode=inactive-or-failed\n\n[Service]\n", p.Name)
	service.note("The program and the user are the service's; casemate would lease a uid to each connection.")
	service.set("ExecStart", program)
	service.set("StandardInput", "socket")
	service.set("StandardError", "journal")
	service.confine(p, rules)
	name := p.Name + "@.service"
	if waits(p) {
		name = p.Name + ".service"
	}
	return []Unit{{p.Name + ".socket", socket(p)}, {name, service.String()}}, nil
}

// confine writes what the profile puts around the program.
func (w *writer) confine(p *sandbox.Profile, rules []seccomp.Rule) {
	w.identity(p)
	w.network(p, rules)
	w.files(&p.Files)
	w.namespaces(p)
	w.syscalls(p, rules)
	w.resources(&p.Resources)
}

// waits tells whether the profile is for a service that is handed the listening socket.
func waits(p *sandbox.Profile) bool { return p.Network.Mode == sandbox.NetworkListener }

func socket(p *sandbox.Profile) string {
	w := &writer{}
	fmt.Fprintf(w, "[Unit]\nDescription=The socket of casemate's profile.%s\n\n[Socket]\n", p.Name)
	w.note("Address and limits are the service's, too.")
	w.set("ListenStream", "127.0.0.1:7000")
	if waits(p) {
		w.set("Accept", "no")
	} else {
		w.set("Accept", "yes")
		w.set("MaxConnections", "64")
		w.set("MaxConnectionsPerSource", "8")
	}
	w.note("Who may connect, by name or with exceptions, and penalties for sources that crash the program:")
	w.note("not by systemd. A rate (TriggerLimitBurst=) takes the socket out of service until somebody starts it again.")
	w.WriteString("\n[Install]\nWantedBy=sockets.target\n")
	return w.String()
}

func (w *writer) identity(p *sandbox.Profile) {
	w.WriteString("\n")
	w.user()
	w.yes("NoNewPrivileges")
	w.set("CapabilityBoundingSet", p.Capabilities...)
	w.set("AmbientCapabilities", p.Capabilities...)
	w.set("KeyringMode", "private")
	w.set("NotifyAccess", "none")
	w.yes("RestrictSUIDSGID", "RestrictRealtime", "LockPersonality", "RemoveIPC")
	if w.service == nil {
		w.set("UMask", "0077")
	}
	if p.Init {
		w.note("Behind an init that reaps orphans (init = true): systemd reaps them itself.")
	}
}

func (w *writer) network(p *sandbox.Profile, rules []seccomp.Rule) {
	w.WriteString("\n")
	host := p.Network.Mode == sandbox.NetworkHost
	if !host {
		w.yes("PrivateNetwork")
		w.set("IPAddressDeny", "any")
		if p.Network.Mode == sandbox.NetworkPrivate {
			w.note("A network of each connection's own, as the profile has it; but that IPAddressDeny= takes its loopback too, which")
			w.note("IPAddressAllow=localhost gives back. The socket that it is handed belongs to the host's network all the same: it has no relay here.")
			w.set("IPAddressAllow", "localhost")
		} else if seccomp.Allows(rules, sendsAway) && !seccomp.Cover(rules, seccomp.Rule{Name: "sendto"}) {
			w.note("The socket that it is handed belongs to the host's network all the same. The profile's sendto has no address;")
			w.note("here one on a datagram socket reaches any.")
		}
	} else {
		w.set("SocketBindDeny", "any")
		for _, port := range p.Network.Bind {
			if port == 0 {
				w.set("SocketBindAllow", "tcp")
			} else {
				w.set("SocketBindAllow", fmt.Sprintf("tcp:%d", port))
			}
		}
		if !slices.Contains(p.Network.Connect, 0) {
			w.note("tcp connect to the ports %s alone: systemd filters addresses, not ports.", cmp.Or(strings.Join(explain.Ports(p.Network.Connect), ", "), "(none)"))
		}
	}
	families, every := families(rules)
	switch {
	case every:
		w.note("Sockets of any family.")
	case len(families) == 0:
		w.set("RestrictAddressFamilies", "none")
	default:
		w.set("RestrictAddressFamilies", families...)
		w.note("Their types and protocols, which the profile names too: not by systemd.")
	}
}

// sendsAway is a send to the peer that a socket has.
var sendsAway = seccomp.Rule{Name: "sendto", Args: []seccomp.Arg{{Index: 5, Value: 0}}}

// families are those of the sockets that rules let a program make, or every one.
func families(rules []seccomp.Rule) (out []string, every bool) {
	names := map[uint32]string{1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK"}
	for _, r := range rules {
		if r.Name != "socket" {
			continue
		}
		family, exact := r.Exact(0)
		name, known := names[family]
		if !exact || !known {
			return nil, true
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, false
}

func (w *writer) namespaces(p *sandbox.Profile) {
	w.WriteString("\n")
	w.yes("RestrictNamespaces", "PrivateIPC", "PrivateMounts", "ProtectHostname", "ProtectControlGroups", "ProtectKernelTunables",
		"ProtectKernelModules", "ProtectKernelLogs", "ProtectClock")
	if len(p.Capabilities) == 0 {
		if !p.UserNamespace {
			w.note("A user namespace of its own. The profile has none, and no capability that one would take the power from.")
		}
		w.yes("PrivateUsers")
	}
	w.note("A pid namespace of its own: PrivatePIDs=yes, from systemd 257. Landlock below all of it: not by systemd.")
}

// resources are the rlimits by the name of their row, and those of the cgroup.
func (w *writer) resources(r *sandbox.Resources) {
	w.WriteString("\n")
	names := map[sandbox.Resource]string{
		sandbox.Memory: "MemoryMax", sandbox.Processes: "TasksMax", sandbox.CPU: "CPUQuota", sandbox.AddressSpace: "LimitAS", sandbox.Data: "LimitDATA",
		sandbox.CPUTime: "LimitCPU", sandbox.FileSize: "LimitFSIZE", sandbox.OpenFiles: "LimitNOFILE", sandbox.Tasks: "LimitNPROC",
		sandbox.Stack: "LimitSTACK", sandbox.Locked: "LimitMEMLOCK",
	}
	for i, row := range sandbox.ResourceRows {
		n := r[i]
		if n == 0 {
			continue
		}
		if row.Group {
			w.note("Here of each connection; the profile's is of all of the service's together.")
		}
		if resource.Rows[i].Unit == resource.Share {
			w.set(names[sandbox.Resource(i)], fmt.Sprintf("%d%%", n/10))
		} else {
			w.set(names[sandbox.Resource(i)], fmt.Sprint(n))
		}
	}
}
