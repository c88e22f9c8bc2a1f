package parole

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Mode says which calls of a kind are alike; its zero value is that of one of which none are: all stop.
type Mode uint64

// The modes of a call, which go together.
const (
	Alike   Mode = 1 << iota // those with the same Key are alike
	Event                    // ptrace(2) has an event for it: it never stops by a signal
	NoAddr                   // but with an address as fifth argument
	NotErr                   // but with descriptor 2 as first one
	NotExec                  // but with PROT_EXEC in the third one
	NotStop                  // but with one of the signals that stop a thread as first one
)

const (
	calls    = 512 // numbers of calls that have a shape
	restarts = 512 // the first of the errors that a program does not see
)

// Shape says how calls of one number are compared.
type Shape struct {
	Mode  Mode
	Masks [6]uint64 // of each argument, what is compared of it
}

// conditions are the modes that look at an argument.
var conditions = []struct {
	when Mode
	arg  int
	size asm.Size
	stop func(to string) asm.Instruction
}{
	{NoAddr, 4, asm.DWord, func(to string) asm.Instruction { return asm.JNE.Imm(asm.R2, 0, to) }},
	{NotErr, 0, asm.Word, func(to string) asm.Instruction { return asm.JEq.Imm(asm.R2, 2, to) }},
	{NotExec, 2, asm.Word, func(to string) asm.Instruction { return asm.JSet.Imm(asm.R2, unix.PROT_EXEC, to) }},
	{NotStop, 0, asm.Word, func(to string) asm.Instruction { return asm.JEq.Imm(asm.R2, int32(signals[0]), to) }},
	{NotStop, 0, asm.Word, func(to string) asm.Instruction { return asm.JEq.Imm(asm.R2, int32(signals[1]), to) }},
}

// Key is what calls that are alike have in common.
type Key struct {
	Process, Call, Err uint64
	Args               [6]uint64
}

// KeyOf is the Key of a call.
func (s *Shape) KeyOf(process, call, err uint64, args *[6]uint64) Key {
	k := Key{Process: process, Call: call, Err: err}
	for i := range args {
		k.Args[i] = args[i] & s.Masks[i]
	}
	return k
}

// Thread is what is known of a thread on parole.
type Thread struct {
	Signals uint64 // the set of those that may stop it
	Process uint64 // as its keys have it
	Counted uint64 // calls that were known
	Pending uint64 // 1: it stops for the call below
	Call    uint64
	Result  int64
	Args    [6]uint64
	TID     uint64
	// Texts are what the first two arguments point to, where no signal could stop the thread: it goes on,
	// and they may be something else by the time that this is read. They end with a NUL.
	Texts [2][maxText]byte
}

// maxText is how much is kept of a text, in bytes.
const maxText = 256

// Where a Thread has its fields, in bytes.
const (
	atSignals = 8 * iota
	atProcess
	atCounted
	atPending
	atCall
	atResult
	atArgs
	atTexts    = atArgs + 8*7
	threadSize = atTexts + 2*maxText
)
