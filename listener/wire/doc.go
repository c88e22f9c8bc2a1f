// Package wire is every message between the broker and its workers: here their types and what the broker does with them, in
// package far the workers' end, whose tests hold each encoder against its decoder. Both ends
// are of one build, so a message that does not decode is a worker that was taken over, or a
// broker that is not ours: whoever gets one ends the link. Numbers are little endian.
//
// The compiler's question and answer are input.CompileRequest and
// input.CompileResponse, which are `casemate compile`'s own; a zygote's are C's,
// in sandbox/zygote.
package wire

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// Malformed is the error of a message that the other end would not send.
func Malformed(kind string, m []byte) error {
	return fmt.Errorf("malformed %s of %d bytes", kind, len(m))
}
