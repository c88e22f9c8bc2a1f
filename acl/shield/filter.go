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

// The instructions of a filter (linux/bpf_common.h).
const (
	loadByte     = 0x30 // BPF_LD | BPF_B | BPF_ABS
	loadWord     = 0x20 // BPF_LD | BPF_W | BPF_ABS
	shiftRight   = 0x74 // BPF_ALU | BPF_RSH | BPF_K
	and          = 0x54 // BPF_ALU | BPF_AND | BPF_K
	jump         = 0x05 // BPF_JMP | BPF_JA
	jumpEqual    = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	jumpAbove    = 0x25 // BPF_JMP | BPF_JGT | BPF_K
	jumpFrom     = 0x35 // BPF_JMP | BPF_JGE | BPF_K
	returnNumber = 0x06 // BPF_RET | BPF_K
)

// Filter is the program for listeners of TCP, or of datagrams, as the kernel has it (struct sock_filter): it drops what comes from
// first and from more. Of TCP only what would begin a connection is looked at. Where the program would be too large, of more it refuses
// the largest ranges alone and, where even first is, of that and nobody else.
func Filter(datagrams bool, first, more Ranges) []byte {
	program := fitting(first, more, datagrams).program(datagrams, networkHeader)
	out := make([]byte, 0, InstructionSize*len(program))
	for _, i := range program {
		out = binary.NativeEndian.AppendUint32(append(binary.NativeEndian.AppendUint16(out, i.Op), i.Jt, i.Jf), i.K)
	}
	return out
}

// fitting are those of two that a program holds.
func fitting(first, more Ranges, datagrams bool) Ranges {
	if all := first.And(more); all.size(datagrams) <= maxProgram {
		return all
	}
	if first.size(datagrams) > maxProgram {
		first, more = Ranges{}, first
	}
	out := first
	four, six := widest(more.IPv4), widest(more.IPv6)
	for low, high := 0, maxProgram; low+1 < high; { // so many of each fit, and so many do not
		mid := (low + high) / 2
		try := first.And(Ranges{four[:min(mid, len(four))], six[:min(mid, len(six))]})
		if try.size(datagrams) <= maxProgram {
			out, low = try, mid
		} else {
			high = mid
		}
	}
	return out
}

// size is how many instructions the program has, or more than maxProgram.
func (r Ranges) size(datagrams bool) int {
	p := backwards{dry: true}
	p.filter(r, datagrams, networkHeader)
	return p.n
}

// program is the filter, with the header of IP at ip.
func (r Ranges) program(datagrams bool, ip uint32) []bpf.RawInstruction {
	var p backwards
	p.filter(r, datagrams, ip)
	slices.Reverse(p.out)
	return p.out
}

func (p *backwards) filter(r Ranges, datagrams bool, ip uint32) {
	p.search(segments(r.IPv6, 0), words{}, words{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, [4]uint32{ip + source6, ip + source6 + 4, ip + source6 + 8, ip + source6 + 12})
	six := p.n
	p.search(segments(r.IPv4, 3), words{}, words{3: 1<<32 - 1}, [4]uint32{})
	p.add(loadWord, ip+source4, 0, 0)
	p.add(jump, uint32(p.n-six), 0, 0)
	p.add(returnNumber, pass, 0, 0)
	p.add(jumpEqual, 6, 1, 0)
	p.add(jumpEqual, 4, 3, 0)
	p.add(shiftRight, 4, 0, 0)
	p.add(loadByte, ip, 0, 0)
	if !datagrams { // what is part of a connection is nobody's attempt
		p.add(returnNumber, pass, 0, 0)
		p.add(jumpEqual, flagSYN, 1, 0)
		p.add(and, flagSYN|flagACK, 0, 0)
		p.add(loadByte, tcpFlags, 0, 0)
	}
}

// segment is the addresses from one on, up to the next segment's.
type segment struct {
	from [4]uint32
	drop bool
}

func (s *segment) answer() uint32 {
	if s.drop {
		return drop
	}
	return pass
}

// segments are all addresses, whose words begin at one.
func segments(refused []Range, begin int) []segment {
	out := append(make([]segment, 0, 2*len(refused)+1), segment{})
	for _, r := range refused {
		if n := len(out); out[n-1].from == r.First {
			out = out[:n-1]
		}
		if n := len(out); n == 0 || !out[n-1].drop {
			out = append(out, segment{r.First, true})
		}
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
type backwards struct {
	out []bpf.RawInstruction
	n   int
	dry bool // it is only counted
}

// add adds an instruction, which skips so many where its condition holds, and so many where not.
func (p *backwards) add(op uint16, k uint32, yes, no uint8) {
	if p.n++; !p.dry {
		p.out = append(p.out, bpf.RawInstruction{Op: op, Jt: yes, Jf: no, K: k})
	}
}

// words are an address.
type words [4]uint32

// prev is the address before, of one that is not the first.
func (w words) prev() words {
	for i := 3; i >= 0; i-- {
		if w[i]--; w[i] != 1<<32-1 {
			break
		}
	}
	return w
}

// search finds an address, of which it is known that it lies within a range, among segments, by halves. Its words lie at these offsets; where
// the last one's is 0 it is loaded already, and the others are 0.
func (p *backwards) search(list []segment, first, last words, at [4]uint32) {
	if len(list) == 1 || p.n > maxProgram {
		p.add(returnNumber, list[0].answer(), 0, 0)
		return
	}
	mid := len(list) / 2
	k := words(list[mid].from)
	p.search(list[mid:], k, last, at)
	high := p.n
	p.search(list[:mid], first, k.prev(), at)
	low := p.n - high
	if at[3] == 0 && low <= 255 {
		p.add(jumpFrom, k[3], uint8(low), 0)
		return
	}
	p.add(jump, uint32(low), 0, 0)
	same := 0 // so many words it has in common with all that it can be
	for same < 3 && first[same] == last[same] {
		same++
	}
	p.atLeast(k, same, at)
}

// atLeast goes on to the next instruction after it where the address is k or more, and else skips that one. Its words before
// one are those of k.
func (p *backwards) atLeast(k words, begin int, at [4]uint32) {
	if at[3] == 0 {
		p.add(jumpFrom, k[3], 0, 1)
		return
	}
	last := 3
	for last > begin && k[last] == 0 {
		last--
	}
	p.add(jumpFrom, k[last], 0, 1)
	p.add(loadWord, at[last], 0, 0)
	for i, after := last-1, uint8(2); i >= begin; i, after = i-1, after+3 {
		p.add(jumpEqual, k[i], 0, after+1)
		p.add(jumpAbove, k[i], after+1, 0)
		p.add(loadWord, at[i], 0, 0)
	}
}
