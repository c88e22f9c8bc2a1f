package sandbox

import (
	"fmt"
	"strings"

	"casemate/sandbox/zygote"
)

// Stdio says where the program finds its sockets: one of Stdios, or "env:NAME".
type Stdio string

// The places.
const (
	StdioSocket Stdio = "socket"     // the client's socket is 0 and 1; 2 goes to the log
	StdioAll    Stdio = "socket-all" // it is 2 as well
	StdioFDs    Stdio = "listen_fds" // sockets from 3 on, as sd_listen_fds(3) has them
	StdioRelay  Stdio = "relay"      // 0 and 1 are a unix stream socket; casemate-worker carries its bytes to the client's and back
)

// Stdios are the words, with the pattern of the one that has a name in it.
var Stdios = []Stdio{StdioSocket, StdioAll, StdioFDs, StdioRelay, stdioVariable + "NAME"}

// stdioVariable begins "env:NAME": the socket is 3, and NAME says so.
const stdioVariable = "env:"

// Variable is the NAME of "env:NAME".
func (s Stdio) Variable() (name string, ok bool) { return strings.CutPrefix(string(s), stdioVariable) }

// zygote gives the zygote's way of placing descriptors.
func (s Stdio) zygote() (zygote.Stdio, error) {
	name, variable := s.Variable()
	switch {
	case s == StdioSocket, s == "":
		return zygote.StdioSocket, nil
	case s == StdioAll:
		return zygote.StdioAll, nil
	case s == StdioFDs, variable && name != "":
		return zygote.StdioFDs, nil
	case s == StdioRelay:
		return zygote.StdioRelay, nil
	}
	return 0, fmt.Errorf("stdio %q: want one of %q", s, Stdios)
}
