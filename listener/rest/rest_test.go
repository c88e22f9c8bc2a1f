package rest

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestRestUnmapsCode: what a program has of its own code falls when it rests, and what runs afterwards is there again.
func TestRestUnmapsCode(t *testing.T) {
	for range 100 { // more of it than idling takes
		_ = fmt.Sprintf("%v %q %x %g", os.Args, os.Environ(), t.Name(), 1.5)
	}
	before := code(t)
	unmap()
	after := code(t)
	if after == 0 || after >= before { // the kernel maps 64 KiB around each page that goes on being run
		t.Errorf("%d KiB of its code are mapped, %d before", after, before)
	}
	unmap()
	if s := fmt.Sprintf("%q", strings.Repeat("x", 3)); s != `"xxx"` {
		t.Error(s)
	}
}

// code is how much of this program's own file, but for what is written, is mapped, in KiB.
func code(t *testing.T) (sum int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ours := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(fields[0], "-") {
			ours = strings.HasSuffix(line, " "+self) && fields[1][1] != 'w'
		}
		var n int
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &n); err == nil && ours {
			sum += n
		}
	}
	return sum
}
