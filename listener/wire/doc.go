// Package wire is every message between the broker and its workers, each encoder
// beside its decoder. Both ends are of one build, so a message that does not
// decode is a worker that was taken over, or a broker that is not ours: whoever
// gets one ends the link. Numbers are little endian.
//
// The compiler's question and answer are policy.CompileRequest and
// policy.CompileResponse, which are `casemate compile`'s own; a zygote's are C's,
// in sandbox/zygote.
package wire

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// malformed is the error of a message that the other end would not send.
func malformed(kind string, m []byte) error {
	return fmt.Errorf("malformed %s of %d bytes", kind, len(m))
}
