// Package spoken says system calls with their arguments in the words of C, for people:
// casemate-worker writes them into records. What runs as root does not link it.
package spoken

import (
	"slices"
	"strconv"
	"strings"

	"casemate/sandbox/seccomp"
)

// Call is a system call of this architecture with its arguments as they lay in the registers. What
// pointers among them lead to is not known.
type Call struct {
	Nr    int
	Args  [6]uint64
	Blind bool // Args are not known
}

// Name is the call's name, or its number where there is none.
func (c Call) Name() string {
	if name := seccomp.Name(c.Nr); name != "" {
		return name
	}
	return strconv.Itoa(c.Nr)
}

// Words are the arguments that tell calls apart, in the words of C, as
// "AF_INET", "SOCK_STREAM", "0"; none where none does.
func (c Call) Words() []string {
	shown := matters[c.Name()]
	if c.Blind {
		return nil
	}
	words := make([]string, len(shown))
	for i, a := range shown {
		words[i] = a.word(&c)
	}
	return words
}

// Of are the words of those of the arguments whose numbers are in known: whoever follows a call
// keeps what filters decide by.
func (c Call) Of(known ...uint) []string {
	var words []string
	for _, a := range matters[c.Name()] {
		if a.at >= 0 && slices.Contains(known, uint(a.at)) {
			words = append(words, a.word(&c))
		}
	}
	return words
}

// Arguments are those words in one text.
func (c Call) Arguments() string { return strings.Join(c.Words(), ", ") }

// String is the call as C writes it, with the arguments that tell calls apart.
func (c Call) String() string { return c.Name() + "(" + c.Arguments() + ")" }

// Main is the number of the argument that says most of what is asked for, as the request of ioctl(2).
func (c Call) Main() (int, bool) {
	shown := matters[c.Name()]
	if len(shown) == 0 || shown[0].at < 0 || c.Blind {
		return 0, false
	}
	return shown[0].at, true
}

// argument is one that matters, and how it is said.
type argument struct {
	at  int
	say func(c *Call, v uint64) string
}

func (a argument) word(c *Call) string {
	if a.at < 0 {
		return a.say(c, 0)
	}
	return a.say(c, c.Args[a.at])
}

// of says a value of 32 bits by its name.
func of(names map[uint32]string) func(*Call, uint64) string {
	return func(_ *Call, v uint64) string {
		if name, ok := names[uint32(v)]; ok {
			return name
		}
		return hex(nil, v)
	}
}

// bits says the names of the bits of a value, and what is left in hexadecimal.
func bits(names []bit, none string) func(*Call, uint64) string {
	return func(_ *Call, v uint64) string {
		words, left := []string{}, uint32(v)
		for _, b := range names {
			if left&b.value == b.value {
				words = append(words, b.name)
				left &^= b.value
			}
		}
		if left != 0 || len(words) == 0 && none == "" {
			words = append(words, hex(nil, uint64(left)))
		}
		if len(words) == 0 {
			return none
		}
		return strings.Join(words, "|")
	}
}

type bit struct {
	value uint32
	name  string
}

// id says a user, group or process; what means "as it is" is -1.
func id(_ *Call, v uint64) string { return strconv.Itoa(int(int32(v))) }

func hex(_ *Call, v uint64) string {
	if uint32(v) == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(uint64(uint32(v)), 16)
}

func octal(_ *Call, v uint64) string { return "0" + strconv.FormatUint(uint64(uint32(v)), 8) }

func length(_ *Call, v uint64) string { return strconv.FormatUint(v, 10) + " bytes" }

// unknown stands for what lies behind a pointer, which nobody reads.
func unknown(what string) argument {
	return argument{-1, func(*Call, uint64) string { return what + " unknown" }}
}
