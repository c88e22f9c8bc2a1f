package escape

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// program32 is an ELF program of 32 bits, of i386 or arm, that ends at once: one segment, which is the whole file.
func program32() []byte {
	const at, head = 0x08048000, 52 + 32
	code := code32
	size := uint32(head + len(code))
	var b bytes.Buffer
	b.Write([]byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	for _, part := range []any{
		[]uint16{2 /* EXEC */, machine32}, []uint32{1, at + head, 52, 0, flags32}, []uint16{52, 32, 1, 0, 0, 0},
		[]uint32{1 /* LOAD */, 0, at, at, size, size, 5 /* r-x */, 0x1000}, code,
	} {
		_ = binary.Write(&b, binary.LittleEndian, part) // a buffer takes all
	}
	return b.Bytes()
}

// TestForeignProgram: a program of 32 bits that a service may execute is killed by its first call, which no filter
// knows (attempt 47). As the program of a service it is refused.
func TestForeignProgram(t *testing.T) {
	rig.Root(t)
	victim, dir, port := compileVictim(t), rig.PublicDir(t), rig.Port(t)
	path := filepath.Join(dir, "foreign")
	try(t, os.WriteFile(path, program32(), 0o755))
	line := "exec-status " + path
	if o := outside(t, victim, line, asNobody); o.result == "ENOEXEC" {
		need.Kernel(t, "it executes no programs of 32 bits")
	} else if o.result != "ok" {
		t.Fatalf("outside: %s, so what happens inside proves nothing", o)
	}
	rig.Serve(t, policyHead+serviceText("victim", port, victim, fmt.Sprintf("  base = profile.server\n  widens = [\"files\"]\n  files {\n    exec = [%q]\n  }", dir)))
	if o := inside(t, port, line); o.result != "ECHILD" || !slices.Contains(o.notes, "died of signal 31") {
		t.Errorf("%s: %s, want SIGSYS", line, o)
	}
	refused(t, "as the program", serviceText("foreign", rig.Port(t), path, "  base = profile.line"), "neither an ELF program of 64 bits nor a script")
}
