package escape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// attempt is one line of the escape table.
type attempt struct {
	// number groups attempts of one kind; it is the number in the victim's comments.
	number int
	// line is what the victim is told: a name and arguments with {placeholders}.
	line string
	// want holds the errors that may stop it under the profile, split by |.
	// "killed" is a victim that died without an answer.
	want string
	// control says how the attempt works outside.
	control elsewhere
	// controlLine stands in for line outside, where the same words would hit the host.
	controlLine string
}

// elsewhere is the positive control of an attempt.
type elsewhere int

const (
	// asNobody runs it as the service's user: only the sandbox stops it.
	asNobody elsewhere = iota
	// asRoot runs it as root: the lost rights are what stops it.
	asRoot
	// uncontrolled attempts would harm a host where they work, or cannot work
	// on this kernel at all: only the denial is tested.
	uncontrolled
)

// everything is all tables of attempts.
func everything() []attempt {
	return slices.Concat(fileAttempts, namespaceAttempts(), processAttempts, kernelAttempts, kernelHere, networkAttempts)
}

// outcome is what the victim answered.
type outcome struct {
	result string // "ok", an errno name, or "killed"
	notes  []string
}

func (o outcome) String() string { return fmt.Sprintf("%s %q", o.result, o.notes) }

// note returns the rest of the first note with the prefix.
func (o outcome) note(prefix string) (string, bool) {
	for _, n := range o.notes {
		if rest, ok := strings.CutPrefix(n, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// parse reads a victim's answer to the attempt called name.
func parse(name, answer string) outcome {
	o := outcome{result: "killed"}
	for line := range strings.Lines(answer) {
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "note: "); ok {
			o.notes = append(o.notes, n)
		} else if r, ok := strings.CutPrefix(line, name+" "); ok {
			o.result = r
		}
	}
	return o
}

// inside makes the attempt as a service of the broker.
func inside(t *testing.T, port, line string) outcome {
	t.Helper()
	name, _, _ := strings.Cut(line, " ")
	answer, err := rig.Exchange(port, line+"\n")
	if err != nil && !strings.Contains(err.Error(), "reset by peer") {
		t.Fatalf("%s: %v", line, err)
	}
	o := parse(name, answer)
	if o.result == "unknown" {
		t.Fatalf("the victim knows no attempt %q", name)
	}
	return o
}

// spends names attempts that leave their process without memory, room or processes, or end it:
// what is refused after them in one session is refused for that.
var spends = []string{"forks", "vforks", "threads", "raw-threads", "eat", "fill", "inodes", "fd-bomb", "kill-all", "mlockall", "sweep"}

// insideAll makes attempts one after another in one session, and goes on in a next one with those
// that come after an attempt which ended it. Those that spend what the others need have one of
// their own. What is refused changes nothing for the next; so does not what the caller expects to work.
func insideAll(t *testing.T, port string, lines []string) []outcome {
	t.Helper()
	out := make([]outcome, len(lines))
	var together []int
	for i, line := range lines {
		if name, _, _ := strings.Cut(line, " "); slices.Contains(spends, name) {
			out[i] = inside(t, port, line)
		} else {
			together = append(together, i)
		}
	}
	for len(together) > 0 {
		var request []string
		for _, i := range together {
			request = append(request, lines[i])
		}
		answer, err := rig.Exchange(port, strings.Join(request, ";")+"\n")
		if err != nil && !strings.Contains(err.Error(), "reset by peer") {
			t.Fatalf("%s: %v", request[0], err)
		}
		for n := -1; n != 0 && len(together) > 0; { // of each, how much of the answer it took
			i := together[0]
			name, _, _ := strings.Cut(lines[i], " ")
			out[i], n = first(name, answer)
			answer, together = answer[n:], together[1:]
			if out[i].result == "unknown" {
				t.Fatalf("the victim knows no attempt %q", name)
			}
		}
	}
	return out
}

// first reads what the victim says of the attempt called name, with which the answer begins,
// and gives the length of that: 0 is a victim that ended in it.
func first(name, answer string) (o outcome, n int) {
	for line := range strings.Lines(answer) {
		n += len(line)
		if strings.HasPrefix(line, name+" ") && strings.HasSuffix(line, "\n") {
			return parse(name, answer[:n]), n
		}
	}
	return parse("", answer), 0
}

// denied tells whether the outcome is one of those that want lists.
func denied(want string, o outcome) bool { return slices.Contains(strings.Split(want, "|"), o.result) }

// attempted makes the attempt, as that line, inside, where it has to be denied.
func attempted(t *testing.T, port string, a attempt, line string) {
	t.Helper()
	if o := inside(t, port, line); !denied(a.want, o) {
		t.Errorf("#%d %s: %s, want %s", a.number, line, o, a.want)
	}
}

// fill replaces {name} by its value; a placeholder without one is a mistake in the table.
func fill(t *testing.T, line string, values map[string]string) string {
	t.Helper()
	for k, v := range values {
		line = strings.ReplaceAll(line, "{"+k+"}", v)
	}
	if strings.ContainsAny(line, "{}") {
		t.Fatalf("%q holds an unknown placeholder", line)
	}
	return line
}
