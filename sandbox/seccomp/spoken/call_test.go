package spoken

import (
	"strings"
	"testing"

	"casemate/sandbox/seccomp"

	"golang.org/x/sys/unix"
)

func TestCalls(t *testing.T) {
	for want, args := range map[string][]uint64{
		"socket(AF_INET, SOCK_STREAM, 0)":                         {2, 1, 0},
		"socket(AF_INET6, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP)": {10, 2 | 0x800, 17},
		"socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)":             {16, 3, 9},
		"socket(0x63, 0x7, 1)":                                    {1<<40 | 99, 7, 1},
		"ioctl(TIOCSTI)":                                          {0, 0x5412},
		"ioctl(0xdead)":                                           {0, 1<<32 | 0xdead},
		"prctl(PR_SET_NO_NEW_PRIVS, 0x1)":                         {38, 1},
		"fcntl(F_SETFL)":                                          {0, 4},
		"clone(CLONE_NEWUSER|SIGCHLD)":                            {0x10000000 | 17},
		"clone(SIGCHLD)":                                          {17},
		"unshare(CLONE_NEWNS|CLONE_NEWNET)":                       {0x40020000},
		"mount(MS_RDONLY|MS_BIND)":                                {0, 0, 0, 0x1001},
		"setresuid(-1, 0, 65534)":                                 {1<<32 - 1, 0, 65534},
		"setgroups(0 groups)":                                     {0},
		"kill(SIGKILL)":                                           {1, 9},
		"connect(address unknown)":                                {3, 0x1000, 16},
		"sendto(MSG_NOSIGNAL, no address)":                        {0, 0, 0, 0x4000, 0},
		"sendto(0, address unknown)":                              {0, 0, 0, 0, 1},
		"setsockopt(SOL_SOCKET, SO_REUSEADDR)":                    {0, 1, 2},
		"mprotect(PROT_READ|PROT_EXEC)":                           {0, 0, 5},
		"chmod(04755)":                                            {0, 0o4755},
		"ptrace(PTRACE_TRACEME)":                                  {0},
		"prlimit64(RLIMIT_NOFILE)":                                {0, 7},
		"getcwd()":                                                {1, 2},
	} {
		name, _, _ := strings.Cut(want, "(")
		nr, ok := seccomp.Number(name)
		c := Call{Nr: nr}
		copy(c.Args[:], args)
		if got := c.String(); got != want || !ok {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := (Call{Nr: unix.SYS_SOCKET, Blind: true}).String(); got != "socket()" {
		t.Errorf("of unknown arguments: %s", got)
	}
	if got := (Call{Nr: 9999}).String(); got != "9999()" {
		t.Errorf("of an unknown call: %s", got)
	}
}

// TestOf: of the arguments that are known the words are said, and no others.
func TestOf(t *testing.T) {
	socket, _ := seccomp.Number("socket")
	sendto, _ := seccomp.Number("sendto")
	for _, tt := range []struct {
		call  Call
		known []uint
		want  string
	}{
		{Call{Nr: socket, Args: [6]uint64{1, 2}}, []uint{0, 1, 2}, "AF_UNIX SOCK_DGRAM 0"},
		{Call{Nr: socket, Args: [6]uint64{1, 2}}, []uint{1}, "SOCK_DGRAM"},
		{Call{Nr: sendto}, []uint{3}, "0"},
		{Call{Nr: sendto}, nil, ""},
		{Call{Nr: 9999}, []uint{0}, ""},
	} {
		if got := strings.Join(tt.call.Of(tt.known...), " "); got != tt.want {
			t.Errorf("%s of %v: %q, want %q", tt.call.Name(), tt.known, got, tt.want)
		}
	}
}

// TestMatters: each call that arguments are said of is one, and its arguments are there.
func TestMatters(t *testing.T) {
	for name, shown := range matters {
		if _, ok := seccomp.Number(name); !ok || len(shown) == 0 {
			t.Errorf("%s", name)
		}
		for _, a := range shown {
			if a.at > 5 || a.say == nil {
				t.Errorf("%s: argument %d", name, a.at)
			}
		}
	}
}

// FuzzWords: whatever a register holds, it is said in one printable line.
func FuzzWords(f *testing.F) {
	f.Add(41, uint64(2), uint64(1), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, nr int, a, b, c, d uint64) {
		got := Call{Nr: nr, Args: [6]uint64{a, b, c, d, a, b}}.String()
		if len(got) > 1000 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", got)
		}
	})
}
