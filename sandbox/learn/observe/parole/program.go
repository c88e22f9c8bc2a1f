package parole

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Signals that stop a thread which its tracer sees: those that do nothing to a program that
// does not handle them, should its tracer die in that moment.
var signals = [...]unix.Signal{unix.SIGURG, unix.SIGWINCH}

// Places on the program's stack, below its frame pointer.
const (
	onPointer = -8   // a pointer that was read
	onPID     = -24  // struct upid: the number, and at +8 the namespace
	onBlocked = -32  // signals
	onKey     = -104 // a Key: process, call, error, arguments
	onRegs    = onKey - 8 - regsSize
	onIndex   = onRegs - 8
)

// offsets are where the running kernel has what the program reads.
type offsets struct {
	threadPID, blocked     int32 // of struct task_struct
	level, numbers, upid   int32 // of struct pid, and the size of a struct upid
	namespaceOf            int32 // of struct upid
	depth                  int32 // of this process's namespace
	namespace              uint64
	threads, shapes, known int // descriptors of maps
	blind                  int
}

// read copies size bytes from an address in a register, and what is beyond it, to the stack.
func read(to int32, size int32, from asm.Register, at int32) []asm.Instruction {
	return []asm.Instruction{
		asm.Mov.Reg(asm.R3, from),
		asm.Add.Imm(asm.R3, at),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, to),
		asm.Mov.Imm(asm.R2, size),
		asm.FnProbeReadKernel.Call(),
	}
}

// lookup leaves in R0 where a map has a key of the stack, or jumps.
func lookup(fd int, key int32, missing string) []asm.Instruction {
	return []asm.Instruction{
		asm.LoadMapPtr(asm.R1, fd),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, missing),
	}
}

// place finds what tells the threads of this process's namespace from others, into the stack at onPID.
func place(o *offsets) (list asm.Instructions) {
	list = append(list, asm.FnGetCurrentTask.Call(), asm.Mov.Reg(asm.R7, asm.R0))
	list = append(list, read(onPointer, 8, asm.R7, o.threadPID)...)
	return append(list, asm.LoadMem(asm.R8, asm.RFP, onPointer, asm.DWord))
}

// whereabouts writes the depth and the namespace of the thread that runs it into the first value of a map.
func whereabouts(o *offsets, fd int) asm.Instructions {
	list := place(o)
	list = append(list, read(onIndex, 4, asm.R8, o.level)...)
	// numbers[level].ns
	list = append(list,
		asm.LoadMem(asm.R1, asm.RFP, onIndex, asm.Word),
		asm.Mul.Imm(asm.R1, o.upid),
		asm.Add.Reg(asm.R8, asm.R1))
	list = append(list, read(onPID+8, 8, asm.R8, o.numbers+o.namespaceOf)...)
	list = append(list,
		asm.LoadMem(asm.R6, asm.RFP, onIndex, asm.Word),
		asm.StoreImm(asm.RFP, onIndex, 0, asm.Word))
	list = append(list, lookup(fd, onIndex, "out")...)
	return append(list,
		asm.StoreMem(asm.R0, 0, asm.R6, asm.DWord),
		asm.LoadMem(asm.R1, asm.RFP, onPID+8, asm.DWord),
		asm.StoreMem(asm.R0, 8, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return())
}

// watch is the program at the exit of every call of this host: of a thread on parole it counts
// a call that is known, and stops the thread for its tracer after any other.
func watch(o *offsets) asm.Instructions {
	list := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	list = append(list, place(o)...)
	list = append(list, read(onPID, o.upid, asm.R8, o.numbers+o.depth*o.upid)...)
	list = append(list,
		asm.LoadImm(asm.R1, int64(o.namespace), asm.DWord),
		asm.LoadMem(asm.R2, asm.RFP, int16(onPID+o.namespaceOf), asm.DWord),
		asm.JNE.Reg(asm.R2, asm.R1, "out"))
	list = append(list, lookup(o.threads, onPID, "out")...)
	list = append(list,
		asm.Mov.Reg(asm.R9, asm.R0),
		asm.LoadMem(asm.R8, asm.R6, 0, asm.DWord))
	list = append(list, read(onRegs, regsSize, asm.R8, regsFrom)...)
	list = append(list, asm.LoadMem(asm.R8, asm.R6, 8, asm.DWord)) // the result
	list = append(list, toKey(o)...)
	list = append(list, lookup(o.known, onKey, "stop")...)
	list = append(list,
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.AddAtomic.Mem(asm.R9, asm.R1, asm.DWord, atCounted),
		asm.Ja.Label("out"))
	list = append(list, stop(o)...)
	return append(list, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
}

// toKey makes the Key of the call; it jumps to "stop" where one call of its kind may be unlike another.
func toKey(o *offsets) (list asm.Instructions) {
	list = append(list,
		asm.LoadMem(asm.R2, asm.R9, atProcess, asm.DWord),
		asm.StoreMem(asm.RFP, onKey, asm.R2, asm.DWord),
		asm.LoadMem(asm.R1, asm.RFP, onRegs+regsCall, asm.DWord),
		asm.StoreMem(asm.RFP, onKey+8, asm.R1, asm.DWord),
		// its error, 0 of none
		asm.Mov.Imm(asm.R2, 0),
		asm.JSGE.Imm(asm.R8, 0, "result"),
		asm.JSLT.Imm(asm.R8, -4095, "result"),
		asm.Sub.Reg(asm.R2, asm.R8),
		asm.JGE.Imm(asm.R2, restarts, "out"), // the kernel makes it again after a signal
		asm.StoreMem(asm.RFP, onKey+16, asm.R2, asm.DWord).WithSymbol("result"),
		asm.LoadMem(asm.R1, asm.RFP, onRegs+regsCall, asm.DWord),
		asm.JEq.Imm(asm.R1, -1, "out"), // the return from a signal's handler
		asm.JGE.Imm(asm.R1, calls, "stop"),
		asm.StoreMem(asm.RFP, onIndex, asm.R1, asm.Word))
	list = append(list, lookup(o.shapes, onIndex, "stop")...)
	list = append(list,
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.JSet.Imm(asm.R1, int32(Event), "out"),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.And.Imm(asm.R2, int32(Alike)),
		asm.JEq.Imm(asm.R2, 0, "stop"))
	for i, c := range conditions {
		next := fmt.Sprint("condition", i)
		list = append(list,
			asm.Mov.Reg(asm.R2, asm.R1),
			asm.And.Imm(asm.R2, int32(c.when)),
			asm.JEq.Imm(asm.R2, 0, next),
			asm.LoadMem(asm.R2, asm.RFP, onRegs+regsArgs[c.arg], c.size))
		list = append(list, c.stop("stop"), asm.Mov.Imm(asm.R2, 0).WithSymbol(next))
	}
	for i, at := range regsArgs {
		list = append(list,
			asm.LoadMem(asm.R2, asm.RFP, onRegs+at, asm.DWord),
			asm.LoadMem(asm.R3, asm.R0, int16(8+8*i), asm.DWord),
			asm.And.Reg(asm.R2, asm.R3),
			asm.StoreMem(asm.RFP, int16(onKey+24+8*i), asm.R2, asm.DWord))
	}
	return list
}

// stop notes the call and sends the thread a signal; or hands the call on, where none would stop it.
func stop(o *offsets) (list asm.Instructions) {
	list = append(list,
		asm.LoadMem(asm.R1, asm.RFP, onRegs+regsCall, asm.DWord).WithSymbol("stop"),
		asm.StoreMem(asm.R9, atCall, asm.R1, asm.DWord),
		asm.StoreMem(asm.R9, atResult, asm.R8, asm.DWord))
	for i, at := range regsArgs {
		list = append(list,
			asm.LoadMem(asm.R1, asm.RFP, onRegs+at, asm.DWord),
			asm.StoreMem(asm.R9, int16(atArgs+8*i), asm.R1, asm.DWord))
	}
	list = append(list, asm.Mov.Imm(asm.R1, 1), asm.StoreMem(asm.R9, atPending, asm.R1, asm.DWord))
	list = append(list, read(onBlocked, 8, asm.R7, o.blocked)...)
	for _, s := range signals {
		next := fmt.Sprint("signal", int(s))
		list = append(list,
			asm.LoadMem(asm.R1, asm.RFP, onBlocked, asm.DWord),
			asm.Xor.Imm(asm.R1, -1),
			asm.LoadMem(asm.R2, asm.R9, atSignals, asm.DWord),
			asm.And.Reg(asm.R1, asm.R2),
			asm.And.Imm(asm.R1, int32(Bit(s))),
			asm.JEq.Imm(asm.R1, 0, next),
			asm.Mov.Imm(asm.R1, int32(s)),
			asm.FnSendSignalThread.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R0, 0).WithSymbol(next))
	}
	for i := range int32(2) {
		list = append(list,
			asm.Mov.Reg(asm.R1, asm.R9),
			asm.Add.Imm(asm.R1, atTexts+maxText*i),
			asm.Mov.Imm(asm.R2, maxText),
			asm.LoadMem(asm.R3, asm.RFP, onRegs+regsArgs[i], asm.DWord),
			asm.FnProbeReadUserStr.Call())
	}
	return append(list,
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R9, atPending, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, o.blind),
		asm.Mov.Reg(asm.R2, asm.R9),
		asm.Mov.Imm(asm.R3, threadSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call())
}

// Bit is a signal in a set of signals.
func Bit(s unix.Signal) uint64 { return 1 << (s - 1) }
