//go:build cgo && linux

package filter

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Compile gives the program as an array of struct sock_filter in native byte
// order, ready for seccomp(2). It is an error when a rule is invalid
// or the program is longer than unix.BPF_MAXINSNS. It installs nothing.
func (f Filter) Compile() ([]byte, error) {
	p, err := f.parts()
	if err != nil {
		return nil, err
	}
	body, err := compileBody(p.allowed, p.soft, p.violation)
	if err != nil {
		return nil, fmt.Errorf("compile filter: %w", err)
	}
	prog := append(encode(p.front), body...)
	if n := len(prog) / instructionSize; n > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("compile filter: %d instructions, the kernel takes %d", n, unix.BPF_MAXINSNS)
	}
	return prog, nil
}

func compileBody(allowed, soft []Rule, violation uint32) ([]byte, error) {
	def := libseccomp.ActKillProcess
	if violation != retKillProcess {
		def = libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
	}
	filter, err := libseccomp.NewFilter(def)
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	// The stub checks the architecture first; this is for the body on its own.
	if err := filter.SetBadArchAction(libseccomp.ActKillProcess); err != nil {
		return nil, err
	}
	if err := filter.SetOptimize(2); err != nil { // binary tree
		return nil, fmt.Errorf("binary tree (libseccomp 2.5 or later): %w", err)
	}
	for _, r := range allowed {
		if err := addRule(filter, r, libseccomp.ActAllow); err != nil {
			return nil, err
		}
	}
	for _, r := range soft {
		code := int16(unix.ENOSYS)
		if answer(r.Call) == retNamed {
			code = named
		}
		if err := addRule(filter, r, libseccomp.ActErrno.SetReturnCode(code)); err != nil {
			return nil, err
		}
	}
	body, err := export(filter)
	for i := 0; i+instructionSize <= len(body); i += instructionSize {
		if in := body[i : i+instructionSize]; in[0] == opRet && binary.NativeEndian.Uint32(in[4:]) == retErrno|uint32(named) {
			binary.NativeEndian.PutUint32(in[4:], retNamed)
		}
	}
	return body, err
}

// named is an error that no call has, in place of retNamed, which libseccomp takes only where it
// finds that the kernel it runs on has listeners.
const named = int16(4094)

// addRule adds one rule with its answer.
func addRule(filter *libseccomp.ScmpFilter, r Rule, action libseccomp.ScmpAction) error {
	conds := make([]libseccomp.ScmpCondition, 0, len(r.Args))
	for _, a := range r.Args {
		c, err := libseccomp.MakeCondition(a.Index, libseccomp.CompareMaskedEqual, uint64(a.Bits()), uint64(a.Value))
		if err != nil {
			return fmt.Errorf("rule %v: %w", r, err)
		}
		conds = append(conds, c)
	}
	var err error
	if len(conds) == 0 {
		err = filter.AddRuleExact(libseccomp.ScmpSyscall(r.Call), action)
	} else {
		err = filter.AddRuleConditionalExact(libseccomp.ScmpSyscall(r.Call), action, conds)
	}
	if err != nil {
		return fmt.Errorf("rule %v: %w", r, err)
	}
	return nil
}

// export writes to a memfd, since libseccomp before 2.6 cannot write to memory.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "seccomp")
	defer f.Close()
	if err := filter.ExportBPF(f); err != nil {
		return nil, fmt.Errorf("export program: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("export program: %w", err)
	}
	body, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("export program: %w", err)
	}
	if len(body) == 0 || len(body)%instructionSize != 0 {
		return nil, fmt.Errorf("export program: %d bytes is not a whole number of instructions", len(body))
	}
	return body, nil
}

// AssumeKernel has libseccomp take the kernel for one with all that Compile needs (Linux 4.14), without asking it.
func AssumeKernel() error { return libseccomp.SetAPI(3) }
