package advise

import (
	"errors"
	"slices"
	"testing"

	"casemate/sandbox/seccomp"

	"golang.org/x/sys/unix"
)

func is(name string, index uint, value uint32) seccomp.Rule {
	return seccomp.Rule{Name: name, Args: []seccomp.Arg{{Index: index, Value: value}}}
}

// TestNoNetwork: the groups of the profiles without network reach nothing by
// Reach's word; that their filters let nothing through, seccomp's tests prove.
func TestNoNetwork(t *testing.T) {
	for _, g := range []string{"@go", "@socket-io", "@pty", "@tty", "@ipc", "@strict", "@line", "@files", "@server", "@login"} {
		if got := Reach(seccomp.GroupRules(g)); len(got) > 0 {
			t.Errorf("%s reaches the network by %v", g, got)
		}
	}
}

func TestMeant(t *testing.T) {
	for in, want := range map[string]string{"prlimit": "prlimit64", "fstatat": "newfstatat", "stdio": "@stdio", "landlock": "@landlock", "raed": "", "@file-raed": "", "READ": ""} {
		_, err := seccomp.Resolve([]string{in}, nil)
		var bad *seccomp.UnknownError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", in, err)
			continue
		}
		near := "read"
		if in[0] == '@' {
			near = "@file-read"
		}
		if name, known := Meant(bad); name != want || name == "" && !slices.Contains(known, near) {
			t.Errorf("%s: %q, want %q", in, name, want)
		}
	}
}

// TestListedPorts: what makes sockets that Landlock's list of TCP ports does not hold.
func TestListedPorts(t *testing.T) {
	for _, g := range seccomp.Groups() {
		if got := Unlisted(seccomp.GroupRules(g)); len(got) > 0 {
			t.Errorf("%s passes a list of ports by %v", g, got)
		}
	}
	mptcp := is("socket", 0, unix.AF_INET)
	mptcp.Args = append(mptcp.Args, seccomp.Arg{Index: 1, Value: unix.SOCK_STREAM}, seccomp.Arg{Index: 2, Value: 262})
	for _, r := range []seccomp.Rule{{Name: "socket"}, is("socket", 0, unix.AF_INET), is("socket", 0, 43), mptcp, {Name: "io_uring_enter"}} {
		if len(Unlisted([]seccomp.Rule{r})) == 0 {
			t.Errorf("%s is taken for one that a list holds", r)
		}
	}
}

// TestNoPerilousCall proves that no group, not even one that opens the network,
// has a call that Perilous names.
func TestNoPerilousCall(t *testing.T) {
	for name, why := range perilous {
		if _, ok := seccomp.Number(name); !ok {
			t.Errorf("perilous: unknown call %s", name)
		}
		if Perilous(seccomp.Rule{Name: name}) == "" || why == "" {
			t.Errorf("perilous: %s without a reason", name)
		}
	}
	for _, g := range seccomp.Groups() {
		for _, r := range seccomp.GroupRules(g) {
			if why := Perilous(r); why != "" {
				t.Errorf("%s has %s, which %s", g, r, why)
			}
		}
	}
	for text, want := range map[string]bool{"read": false, "prctl": true, "clone": true} {
		if got := Perilous(seccomp.Rule{Name: text}); (got != "") != want {
			t.Errorf("%s by its name alone: %q", text, got)
		}
	}
	if Perilous(is("prctl", 0, unix.PR_SET_SPECULATION_CTRL)) == "" || Perilous(is("prctl", 0, unix.PR_SET_NAME)) != "" {
		t.Error("an option against speculation passes, or a name does not")
	}
}

// TestNetworkGroupsAreSeen keeps Reach honest.
func TestNetworkGroupsAreSeen(t *testing.T) {
	for _, g := range []string{"@socket-client", "@socket-server", "@socket-accept", "@fd-passing", "@netlink-route", "@builtin"} {
		if len(Reach(seccomp.GroupRules(g))) == 0 {
			t.Errorf("Reach sees nothing in %s", g)
		}
	}
	for _, name := range []string{"ioctl", "socket", "sendto", "setsockopt", "socketpair", "connect"} {
		if len(Reach([]seccomp.Rule{{Name: name}})) == 0 {
			t.Errorf("Reach sees nothing in %s", name)
		}
	}
	if got := Reach(seccomp.GroupRules("@builtin"), "@socket-accept"); len(got) > 0 {
		t.Errorf("beyond a listener @builtin has %v", got)
	}
	if got := Reach(seccomp.GroupRules("@socket-server"), "@socket-accept"); len(got) == 0 {
		t.Error("Reach takes connect and bind for what a listener needs")
	}
	if got := Reach([]seccomp.Rule{{Name: "ioctl", Args: []seccomp.Arg{{Index: 1, Mask: 0xff00, Value: 0x5400}}}}); len(got) == 0 {
		t.Error("Reach takes a masked request for an exact one")
	}
}

func TestExpand(t *testing.T) {
	got, err := Expand([]string{"@memfd", "read", "@tty"}, []string{"ftruncate"})
	if err != nil || !slices.Equal(got, []string{"memfd_create", "read"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := Expand(nil, nil); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %#v, %v", got, err)
	}
	if _, err := Expand([]string{"x"}, nil); err == nil {
		t.Error("unknown name taken")
	}
}
