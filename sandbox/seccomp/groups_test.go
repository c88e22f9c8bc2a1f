package seccomp

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/sandbox/seccomp/filter"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// ladder are the profile groups without network, each within the next.
var ladder = []string{"@strict", "@line", "@files", "@server", "@login"}

func names(rules []Rule) []string {
	var out []string
	for _, r := range rules {
		if !slices.Contains(out, r.Name) {
			out = append(out, r.Name)
		}
	}
	return out
}

func TestGroupsAreValid(t *testing.T) {
	for name, g := range groups {
		if g.doc == "" || GroupDoc(name) != g.doc || !strings.HasPrefix(name, "@") {
			t.Errorf("%s: no doc, or no @", name)
		}
		for _, inc := range g.includes {
			if _, ok := groups[inc]; !ok {
				t.Errorf("%s includes %s, which is no group", name, inc)
			}
		}
		if circle(name, nil) {
			t.Fatalf("%s includes itself", name)
		}
		if len(GroupRules(name)) == 0 {
			t.Errorf("%s allows nothing", name)
		}
	}
	if len(Groups()) != len(groups) || GroupRules("@nothing") != nil || GroupDoc("@nothing") != "" {
		t.Error("groups that are none have contents")
	}
}

func circle(name string, above []string) bool {
	return slices.Contains(above, name) || slices.ContainsFunc(groups[name].includes, func(inc string) bool {
		return circle(inc, append(slices.Clone(above), name))
	})
}

func TestLadder(t *testing.T) {
	for i := 1; i < len(ladder); i++ {
		upper := GroupRules(ladder[i])
		for _, r := range GroupRules(ladder[i-1]) {
			if !slices.ContainsFunc(upper, func(o Rule) bool { return o.covers(r) }) {
				t.Errorf("%s has %s, %s does not", ladder[i-1], r, ladder[i])
			}
		}
	}
	if n := len(names(GroupRules("@server"))); n < 150 {
		t.Errorf("@server has %d calls: no realistic filter", n)
	}
}

// TestBoundedOnly: what no rlimit of a process counts is in no shipped list, and
// a thread or a process is made by nothing but the groups for it.
func TestBoundedOnly(t *testing.T) {
	for _, g := range append([]string{"@builtin"}, ladder...) {
		for _, n := range names(GroupRules(g)) {
			for _, kept := range []string{"@sysv-ipc", "@mqueue", "@watch", "@memfd"} {
				if slices.ContainsFunc(GroupRules(kept), func(r Rule) bool { return r.Name == n && len(r.Args) == 0 }) && n != "ftruncate" && n != "fcntl" {
					t.Errorf("%s has %s of %s", g, n, kept)
				}
			}
		}
	}
	for _, n := range []string{"clone", "fork", "vfork"} {
		if slices.Contains(names(GroupRules("@strict")), n) {
			t.Errorf("@strict has %s", n)
		}
	}
	for _, r := range GroupRules("@line") {
		if r.Name == "fork" || r.Name == "vfork" || r.Name == "clone" && r.Args[0].Value&cloneThread == 0 {
			t.Errorf("@line has %s, which makes processes", r)
		}
	}
}

// cloneThread is CLONE_THREAD.
const cloneThread = 0x10000

// TestNoNetwork proves promise of the profiles without network: no call that
// reaches another peer than the one at the end of the socket.
func TestNoNetwork(t *testing.T) {
	for _, g := range append([]string{"@go", "@socket-io", "@pty", "@tty", "@ipc"}, ladder...) {
		rules := GroupRules(g)
		vm := compile(t, Filter{Rules: rules, OnViolation: Kill})
		denied := func(name string, args ...uint64) {
			t.Helper()
			nr, ok := Number(name)
			if !ok {
				t.Fatalf("no call %s", name)
			}
			d := data{nr: uint32(nr), arch: archHere}
			copy(d.args[:], args)
			if got := run(t, vm, d); got == retAllow {
				t.Errorf("%s allows %s%#x", g, name, args)
			}
		}
		for _, name := range []string{"connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg", "io_uring_setup", "clone3", "unshare", "setns"} {
			denied(name)
			denied(name, 3, 1, 1, 1, 1, 1)
		}
		for _, high := range []uint64{0, 1 << 32, 1 << 63} {
			for family := range uint64(64) {
				for kind := range uint64(16) {
					denied("socket", family|high, kind|high, 0)
				}
			}
			for request := uint64(0x8900); request < 0x8a00; request++ {
				denied("ioctl", 0, request|high)
			}
			for _, request := range []uint64{0x5412, 0x541c, 0x5423, 0x541d, 0x8b01} { // TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS, wireless
				denied("ioctl", 0, request|high)
			}
			denied("sendto", 0, 0, 0, 0, 0, 16|high)
			denied("sendto", 0, 0, 0, msgFastopen|high, 0, 0)
			denied("sendto", 0, 0, 0, 0, 1<<32, 16|high)
			denied("mmap", 0, 4096, protWrite|protExec|high)
			for _, flags := range []uint64{0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000} { // CLONE_NEW*
				denied("clone", flags|high)
				denied("clone", flags|cloneFork|high)
			}
		}
	}
}

// harmlessOptions are all options that a profile without network may set: buffers,
// times and marks of the connection itself, and who is at the other end of a
// socket pair. None of those that re-aim a socket (IPV6_ADDRFORM, IP_TRANSPARENT,
// SO_BINDTODEVICE, TCP_REPAIR, TCP_ULP, TCP_FASTOPEN_CONNECT, what SCTP binds
// and connects by), join a group, or run a program in the kernel.
var harmlessOptions = map[uint64][]uint64{
	unix.SOL_SOCKET: {unix.SO_SNDBUF, unix.SO_RCVBUF, unix.SO_KEEPALIVE, unix.SO_OOBINLINE, unix.SO_PRIORITY,
		unix.SO_LINGER, unix.SO_RCVLOWAT, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO},
	unix.SOL_TCP: {unix.TCP_NODELAY, unix.TCP_CORK, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT,
		unix.TCP_QUICKACK, unix.TCP_USER_TIMEOUT},
	unix.SOL_IP:   {unix.IP_TOS},
	unix.SOL_IPV6: {unix.IPV6_TCLASS},
}

// TestOptionsArePairs tries every option of every level in every group without network.
func TestOptionsArePairs(t *testing.T) {
	nr, _ := Number("setsockopt")
	for _, g := range append([]string{"@go", "@socket-io", "@pty", "@ipc"}, ladder...) {
		vm := compile(t, Filter{Rules: GroupRules(g), OnViolation: Errno})
		has := slices.Contains(names(GroupRules(g)), "setsockopt")
		for level := range uint64(300) {
			for option := range uint64(256) {
				want := has && slices.Contains(harmlessOptions[level], option)
				for _, high := range []uint64{0, 1 << 32} {
					d := data{nr: uint32(nr), arch: archHere, args: [6]uint64{1: level | high, 2: option | high}}
					if got := run(t, vm, d) == retAllow; got != want {
						t.Errorf("%s: level %d option %d: allowed %v, want %v", g, level, option, got, want)
					}
				}
			}
		}
	}
}

// TestFastOpenIsAConnect: no filter lets MSG_FASTOPEN through, whatever else its
// rules ask of a send, and whoever wrote them.
func TestFastOpenIsAConnect(t *testing.T) {
	filters := map[string][]Rule{
		"names":   {{Name: "sendto"}, {Name: "sendmsg"}, {Name: "sendmmsg"}},
		"flags":   {{Name: "sendto", Args: []Arg{{Index: 3, Mask: unix.MSG_OOB}}}, {Name: "sendmsg", Args: []Arg{{Index: 2, Mask: unix.MSG_OOB}}}},
		"network": {{Name: "sendto", Args: []Arg{{Index: 0, Value: 1}}}},
	}
	for _, g := range Groups() {
		filters[g] = GroupRules(g)
	}
	for what, rules := range filters {
		vm := compile(t, Filter{Rules: rules, OnViolation: Errno})
		for name, index := range map[string]int{"sendto": 3, "sendmsg": 2, "sendmmsg": 3} {
			nr, _ := Number(name)
			for _, flags := range []uint64{unix.MSG_FASTOPEN, unix.MSG_FASTOPEN | unix.MSG_NOSIGNAL, unix.MSG_FASTOPEN | 1<<32} {
				d := data{nr: uint32(nr), arch: archHere, args: [6]uint64{0: 1}}
				d.args[index] = flags
				if got := run(t, vm, d); got == retAllow {
					t.Errorf("%s: %s with flags %#x is allowed", what, name, flags)
				}
			}
		}
	}
	nr, _ := Number("sendmsg")
	if got := run(t, compile(t, Filter{Rules: filters["names"], OnViolation: Errno}), data{nr: uint32(nr), arch: archHere, args: [6]uint64{2: unix.MSG_NOSIGNAL}}); got != retAllow {
		t.Error("sendmsg without the flag is not allowed")
	}
	for _, r := range []Rule{{Name: "sendto", Args: []Arg{{Index: 3, Value: msgFastopen}}}, {Name: "sendmsg", Args: []Arg{{Index: 2, Mask: msgFastopen, Value: msgFastopen}}}} {
		if _, err := Normalize([]Rule{r}); err == nil || !strings.Contains(err.Error(), "allow connect") {
			t.Errorf("%s: %v", r, err)
		}
	}
}

// TestPrctlIsAPositiveList tries every option of prctl(2) in every group, with the values that count.
func TestPrctlIsAPositiveList(t *testing.T) {
	asks := []uint64{unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_GET_PDEATHSIG, unix.PR_GET_DUMPABLE, unix.PR_GET_KEEPCAPS, unix.PR_CAPBSET_READ,
		unix.PR_GET_SECUREBITS, unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_THP_DISABLE}
	nr, _ := Number("prctl")
	for _, g := range Groups() {
		rules := GroupRules(g)
		if !slices.Contains(names(rules), "prctl") {
			continue
		}
		basic, memory := slices.Contains(names(rules), "getpid"), slices.Contains(names(rules), "brk")
		vm := compile(t, Filter{Rules: rules, OnViolation: Errno})
		for _, option := range append([]uint64{unix.PR_SET_VMA, unix.PR_SET_PTRACER}, upTo(128)...) {
			for value := range uint64(70) {
				safe := slices.Contains(asks, option) || option == unix.PR_SET_PDEATHSIG && value == uint64(unix.SIGKILL) ||
					option == unix.PR_SET_DUMPABLE && value == 0
				want := basic && safe || memory && option == unix.PR_SET_VMA && value == unix.PR_SET_VMA_ANON_NAME
				d := data{nr: uint32(nr), arch: archHere, args: [6]uint64{option, value}}
				if got := run(t, vm, d) == retAllow; got != want {
					t.Errorf("%s: option %d value %d: allowed %v, want %v", g, option, value, got, want)
				}
			}
		}
	}
}

func upTo(n uint64) []uint64 {
	var out []uint64
	for i := range n {
		out = append(out, i)
	}
	return out
}

// TestWriteOrExecute holds for every group but the one that is there for it.
func TestWriteOrExecute(t *testing.T) {
	for _, g := range Groups() {
		vm := compile(t, Filter{Rules: GroupRules(g), OnViolation: Errno})
		mmap, mprotect := data{nr: unix.SYS_MMAP, arch: archHere}, data{nr: unix.SYS_MPROTECT, arch: archHere}
		mmap.args[2], mprotect.args[2] = protWrite|protExec|1, protExec|1
		wx := run(t, vm, mmap) == retAllow || run(t, vm, mprotect) == retAllow
		if wx != (g == "@jit") {
			t.Errorf("%s: memory written and executed: %v", g, wx)
		}
	}
}

func TestSoft(t *testing.T) {
	for nr := range 2 * highest {
		if filter.Soft(nr) && Name(nr) == "" {
			t.Errorf("a call that answers ENOSYS is none: %d", nr)
		}
	}
}

func TestTable(t *testing.T) {
	for i, c := range table {
		if i > 0 && table[i-1].nr >= c.nr {
			t.Errorf("%d after %d", c.nr, table[i-1].nr)
		}
		if nr, ok := Number(c.name); !ok || nr != c.nr || Name(c.nr) != c.name {
			t.Errorf("%s %d: %d %q", c.name, c.nr, nr, Name(c.nr))
		}
	}
	for nr, want := range numbered {
		if got := Name(nr); got != want {
			t.Errorf("%d is %q, want %q", nr, got, want)
		}
	}
}

// TestTableMatchesHeader compares with the headers that are installed, where
// they are: they may be older than the table, but not different.
func TestTableMatchesHeader(t *testing.T) {
	f, err := os.Open(header)
	if err != nil {
		need.Skip(t, "the kernel's headers are not installed: %v", err)
	}
	defer f.Close()
	define := regexp.MustCompile(`^#define __NR_([a-z0-9_]+)\s+(\d+)$`)
	for s := bufio.NewScanner(f); s.Scan(); {
		if m := define.FindStringSubmatch(s.Text()); m != nil {
			if nr, _ := strconv.Atoi(m[2]); nr <= highest && Name(nr) != m[1] {
				t.Errorf("%d is %s in the header, %q in the table", nr, m[1], Name(nr))
			}
		}
	}
}

// askedOptions are the options that a profile without network may ask a socket for, by level.
var askedOptions = map[uint64][]uint64{
	unix.SOL_SOCKET: {unix.SO_REUSEADDR, unix.SO_TYPE, unix.SO_ERROR, unix.SO_DONTROUTE, unix.SO_BROADCAST, unix.SO_SNDBUF, unix.SO_RCVBUF,
		unix.SO_KEEPALIVE, unix.SO_OOBINLINE, unix.SO_PRIORITY, unix.SO_LINGER, unix.SO_REUSEPORT, unix.SO_PASSCRED, unix.SO_PEERCRED,
		unix.SO_RCVLOWAT, unix.SO_SNDLOWAT, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO, unix.SO_ACCEPTCONN, unix.SO_PEERSEC, unix.SO_MARK,
		unix.SO_PROTOCOL, unix.SO_DOMAIN, unix.SO_COOKIE, unix.SO_PEERGROUPS},
	unix.SOL_IP: {unix.IP_TOS, unix.IP_TTL, unix.IP_OPTIONS, unix.IP_PKTINFO, unix.IP_MTU_DISCOVER, unix.IP_RECVERR, unix.IP_MTU},
	unix.SOL_TCP: {unix.TCP_NODELAY, unix.TCP_MAXSEG, unix.TCP_CORK, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_INFO,
		unix.TCP_QUICKACK, unix.TCP_CONGESTION, unix.TCP_USER_TIMEOUT},
	unix.SOL_IPV6: {unix.IPV6_UNICAST_HOPS, unix.IPV6_MTU_DISCOVER, unix.IPV6_MTU, unix.IPV6_RECVERR, unix.IPV6_V6ONLY, unix.IPV6_RECVPKTINFO, unix.IPV6_TCLASS},
}

// advice is what a program may tell the kernel about its memory.
var advice = []uint64{unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED, unix.MADV_DONTNEED, unix.MADV_FREE,
	unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTDUMP, unix.MADV_DODUMP, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, unix.MADV_COLD,
	unix.MADV_PAGEOUT, unix.MADV_POPULATE_READ, unix.MADV_POPULATE_WRITE, unix.MADV_COLLAPSE, 102, 103} // MADV_GUARD_INSTALL, _REMOVE

// TestAskedByValue tries every option of every level of getsockopt(2), and every advice of
// madvise(2), in every group without network: what is no question of a service, as a descriptor
// of its peer (SO_PEERPIDFD) or the tables of the packet filter, is none.
func TestAskedByValue(t *testing.T) {
	getsockopt, _ := Number("getsockopt")
	madvise, _ := Number("madvise")
	for _, g := range append([]string{"@go", "@socket-io", "@socket-accept", "@memory"}, ladder...) {
		rules := GroupRules(g)
		asks, memory := slices.Contains(names(rules), "getsockopt"), slices.Contains(names(rules), "brk")
		vm := compile(t, Filter{Rules: rules, OnViolation: Errno})
		for _, high := range []uint64{0, 1 << 32} {
			for level := range uint64(300) {
				for option := range uint64(256) {
					want := asks && slices.Contains(askedOptions[level], option)
					d := data{nr: uint32(getsockopt), arch: archHere, args: [6]uint64{1: level | high, 2: option | high}}
					if got := run(t, vm, d) == retAllow; got != want {
						t.Errorf("%s: getsockopt level %d option %d: allowed %v, want %v", g, level, option, got, want)
					}
				}
			}
			for value := range uint64(300) {
				want := memory && slices.Contains(advice, value)
				d := data{nr: uint32(madvise), arch: archHere, args: [6]uint64{2: value | high}}
				if got := run(t, vm, d) == retAllow; got != want {
					t.Errorf("%s: madvise %d: allowed %v, want %v", g, value, got, want)
				}
			}
		}
	}
}

// TestKeptForThoseThatNeedIt: timers and signals as descriptors, which no service in one process
// was seen to need, begin where several programs do: timeout(1) is one of them.
func TestKeptForThoseThatNeedIt(t *testing.T) {
	for _, g := range []string{"@timers", "@signalfd"} {
		for _, call := range names(GroupRules(g)) {
			for _, list := range []string{"@strict", "@line", "@files", "@builtin"} {
				if slices.Contains(names(GroupRules(list)), call) {
					t.Errorf("%s has %s", list, call)
				}
			}
			if !slices.Contains(names(GroupRules("@server")), call) {
				t.Errorf("@server has no %s", call)
			}
		}
	}
}
