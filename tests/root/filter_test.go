package root

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	"casemate/sandbox/machine"
)

// TestFilterCompilerIsNotTrusted: whatever casemate-filter answers that is no filter, and however it ends, the load
// fails and the policy before it serves on; and its own filter keeps it from all but answering.
func TestFilterCompilerIsNotTrusted(t *testing.T) {
	l := newLibexec(t)
	l.name = "casemate-filter"
	b, port, text := compilerSite(t, l)
	old, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	// program is an answer to the one question that a load begins with: how the compiler is to be confined.
	program := func(instructions ...uint64) string {
		var text []byte
		for _, in := range instructions { // struct sock_filter: code, jt, jf, k
			text = binary.NativeEndian.AppendUint16(text, uint16(in>>48))
			text = append(text, byte(in>>40), byte(in>>32))
			text = binary.NativeEndian.AppendUint32(text, uint32(in))
		}
		return fmt.Sprintf(`{"format_version":1,"filters":[{"program":%q}]}`, base64.StdEncoding.EncodeToString(text))
	}
	arch := []uint64{0x20<<48 | 4, 0x15<<48 | 1<<40 | machine.Audit, 0x06<<48 | 0x80000000, 0x20 << 48}
	for _, c := range []struct{ name, way, reply, want string }{
		{"crash", "segv", "", "killed by SIGSEGV"},
		{"garbage", "reply", "\x00\xff<html>", "the answer"},
		{"another version", "reply", `{"format_version":2,"filters":[{}]}`, "another version"},
		{"too few", "reply", `{"format_version":1,"filters":[]}`, "not to what was asked"},
		{"too many", "reply", `{"format_version":1,"filters":[{},{}]}`, "not to what was asked"},
		{"none", "reply", `{"format_version":1,"filters":[{}]}`, "looking at the architecture"},
		{"an error", "reply", `{"format_version":1,"filters":[{"error":"it has its reasons"}]}`, "it has its reasons"},
		{"what Landlock is for", "reply", `{"format_version":1,"filters":[{"refused":"it has its reasons"}]}`, "it has its reasons"},
		{"every architecture", "reply", program(0x06<<48 | 0x7fff0000), "looking at the architecture"},
		{"a tracer", "reply", program(append(arch, 0x06<<48|0x7ff00000)...), "instruction 4"},
		{"a jump out", "reply", program(append(arch, 0x05<<48|7, 0x06<<48|0x7fff0000)...), "install seccomp filter: invalid argument"},
		{"too long", "flood", "", "longer than"},
		{"opens a socket", "socket", "", "killed by SIGSYS"},
		{"makes a file", "write", "", "killed by SIGSYS"},
		{"forks", "fork", "", "killed by SIGSYS"},
		{"runs a program", "exec", "", "killed by SIGSYS"},
	} {
		l.become(t, c.way, c.reply)
		if err := b.WritePolicy("test.cm.hcl", text+"# "+c.name+"\n"); err != nil { // another text, or nothing is compiled
			t.Fatal(err)
		}
		reload(t, b, c.want)
		exchange(t, port, "", "once\n")
	}
	if s, err := b.Status(); err != nil || s.Digest != old.Digest || s.Generation != old.Generation || s.LastReload == "" {
		t.Errorf("status %+v (%v), want generation %d and the reload's error", s, err, old.Generation)
	}
	l.restore(t)
	reload(t, b, "")
	exchange(t, port, "", "once\n")
}
