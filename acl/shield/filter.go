package shield

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/bpf"
)

// The largest filter: BPF_MAXINSNS of the kernel, and InstructionSize bytes for each (struct sock_filter).
const (
	maxProgram      = 4096
	InstructionSize = 8
	MaxFilter       = maxProgram * InstructionSize
)

// What a filter answers: how many bytes of the packet stay. A small number would cut it.
const (
	drop = 0
	pass = 1<<32 - 1
)

// Where a filter finds things. Packets begin at the header of TCP or UDP, and that of IP lies at SKF_NET_OFF
// (linux/filter.h).
const (
	networkHeader = 0xfff00000
	tcpFlags      = 13
	flagSYN       = 0x02
	flagACK       = 0x10
	source4       = 12
	source6       = 8
)

// Filter is the program for listeners of TCP, or of datagrams, as the kernel has it (struct sock_filter): it drops what comes from r. Of
// TCP only what would begin a connection is looked at. Where the program would be too large, it refuses the largest
// ranges alone.
func (r Ranges) Filter(datagrams bool) []byte {
	var out []byte
	for _, one := range r.fitting(datagrams, networkHeader) {
		raw, err := one.Assemble()
		if err != nil {
			panic(err) // all sizes and jumps are of this package's making
		}
		out = binary.NativeEndian.AppendUint32(append(binary.NativeEndian.AppendUint16(out, raw.Op), raw.Jt, raw.Jf), raw.K)
	}
	return out
}

// fitting is a program that is not too large, with the header of IP at ip.
func (r Ranges) fitting(datagrams bool, ip uint32) []bpf.Instruction {
	if out := r.program(datagrams, ip); len(out) <= maxProgram {
		return out
	}
	four, six := widest(r.IPv4), widest(r.IPv6)
	var out []bpf.Instruction
	for low, high := -1, maxProgram; low+1 < high; { // so many of each fit, and so many do not
		mid := (low + high) / 2
		try := Ranges{ordered(four[:min(mid, len(four))]), ordered(six[:min(mid, len(six))])}.program(datagrams, ip)
		if len(try) <= maxProgram {
			out, low = try, mid
		} else {
			high = mid
		}
	}
	return out
}

// program is the filter, or more than maxProgram instructions that are none.
func (r Ranges) program(datagrams bool, ip uint32) []bpf.Instruction {
	var p backwards
	p.search(segments(r.IPv6, 0), []uint32{ip + source6, ip + source6 + 4, ip + source6 + 8, ip + source6 + 12})
	six := len(p)
	p.search(segments(r.IPv4, 3), []uint32{3: 0})
	p.add(bpf.LoadAbsolute{Off: ip + source4, Size: 4})
	p.add(bpf.Jump{Skip: uint32(len(p) - six)}, bpf.RetConstant{Val: pass}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 3}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4}, bpf.LoadAbsolute{Off: ip, Size: 1})
	if !datagrams { // what is part of a connection is nobody's attempt
		p.add(bpf.RetConstant{Val: pass}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: flagSYN, SkipTrue: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagSYN | flagACK}, bpf.LoadAbsolute{Off: tcpFlags, Size: 1})
	}
	slices.Reverse(p)
	return p
}

// segment is the addresses from one on, up to the next segment's.
type segment struct {
	from [4]uint32
	drop bool
}

// segments are all addresses, whose words begin at one.
func segments(refused []Range, begin int) []segment {
	out := []segment{{}}
	for _, r := range refused {
		if r.First == ([4]uint32{}) {
			out = out[:0]
		}
		out = append(out, segment{r.First, true})
		next := r.Last
		for i := 3; i >= begin; i-- {
			if next[i]++; next[i] != 0 {
				break
			}
		}
		if next != ([4]uint32{}) { // else it was the last of all
			out = append(out, segment{from: next})
		}
	}
	return out
}

// backwards is a program from its end: how far a jump leads is known when it is added.
type backwards []bpf.Instruction

func (p *backwards) add(more ...bpf.Instruction) { *p = append(*p, more...) }

// search finds an address among segments, by halves. Its words lie at these offsets; where the last one's is 0 it is loaded
// already, and the others are 0.
func (p *backwards) search(list []segment, at []uint32) {
	if len(list) == 1 || len(*p) > maxProgram {
		p.add(bpf.RetConstant{Val: map[bool]uint32{true: drop, false: pass}[list[0].drop]})
		return
	}
	mid := len(list) / 2
	p.search(list[mid:], at)
	high := len(*p)
	p.search(list[:mid], at)
	low := len(*p) - high
	k := list[mid].from
	if at[3] == 0 && low <= 255 {
		p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: k[3], SkipTrue: uint8(low)})
		return
	}
	p.add(bpf.Jump{Skip: uint32(low)})
	p.atLeast(k, at)
}

// atLeast goes on to the next instruction after it where the address is k or more, and else skips that one.
func (p *backwards) atLeast(k [4]uint32, at []uint32) {
	if at[3] == 0 {
		p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: k[3], SkipFalse: 1})
		return
	}
	last := 3
	for last > 0 && k[last] == 0 {
		last--
	}
	p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: k[last], SkipFalse: 1}, bpf.LoadAbsolute{Off: at[last], Size: 4})
	for i, after := last-1, 2; i >= 0; i, after = i-1, after+3 {
		p.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: k[i], SkipFalse: uint8(after + 1)}, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: k[i], SkipTrue: uint8(after + 1)},
			bpf.LoadAbsolute{Off: at[i], Size: 4})
	}
}
