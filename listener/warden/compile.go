package warden

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/policy/signed"
	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// maxCompiled is how many bytes a compiler may answer. One that crashes, hangs or prints garbage leaves the old generation running.
const maxCompiled = 64 << 20

// Compile has `casemate compile --stdin` compile the policy in a sandbox
// of its own: the policy's text goes in as bytes, a document of constants comes
// out, of which what is granted to root is decoded strictly. It blocks and never runs on the loop.
// What the compiler has to say beside it is a list of policy.Diagnostic.
//
// A document that is compiled already goes the same way, and comes back as it is
// if it is valid: also one that ran before, of that digest.
func (w *Warden) Compile(ran string) (*granted.Document, json.RawMessage, error) {
	w.compiling.Lock()
	defer w.compiling.Unlock()
	var sources []input.File
	var err error
	if ran == "" {
		sources, err = input.ReadOwn(w.conf.Policy...)
	} else {
		sources, err = w.Recall(ran)
	}
	if err == nil {
		err = w.trusted(sources)
	}
	if err != nil {
		return nil, nil, err
	}
	request, err := json.Marshal(input.CompileRequest{FormatVersion: input.CompileFormat, Files: sources})
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	// The compiler sees nothing but its request.
	key := sha256.Sum256(append(request, make(stamps).of(w.libexec("casemate"))...))
	if w.compiled.doc != nil && w.compiled.key == key {
		return w.compiled.doc, w.compiled.diags, nil
	}
	answer, err := w.runCompiler(request)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	doc, diags, err := decodeCompiled(answer, sources)
	for _, only := range []string{w.conf.Digest, ran} {
		if err == nil && only != "" && doc.Digest != only {
			doc, err = nil, fmt.Errorf("the policy has the digest %s, and %s alone is admitted (casemated --digest, casemate rollback)", doc.Digest, only)
		}
	}
	w.compiled = compiled{key, doc, diags}
	return doc, diags, err
}

// trusted refuses what Config.Trust does not admit, before anybody reads it. Keys and signature are read anew each time.
func (w *Warden) trusted(sources []input.File) error {
	if w.conf.Trust == "" {
		return nil
	}
	if len(sources) != 1 || !input.IsDocument(sources[0].Name) {
		return errors.New("--trust admits one signed document (casemate compile --sign), and no sources")
	}
	more, err := input.ReadOwn(w.conf.Trust, sources[0].Name+signed.Suffix)
	if err == nil && len(more) == 2 {
		err = signed.Verify(sources[0].Data, more[1].Data, more[0].Data)
	}
	if err != nil || len(more) != 2 {
		return fmt.Errorf("--trust: %s (casemate compile --sign makes it): %w", sources[0].Name+signed.Suffix, cmp.Or(err, error(input.ErrNotRegular)))
	}
	return nil
}

// compiled is an answer of the compiler, and what it was asked.
type compiled struct {
	key   [sha256.Size]byte
	doc   *granted.Document
	diags json.RawMessage
}

// Forget has the next Compile ask the compiler, whatever there is to compile: what it gave last is not in force.
func (w *Warden) Forget() {
	w.compiling.Lock()
	defer w.compiling.Unlock()
	w.compiled = compiled{}
}

// decodeCompiled reads the compiler's answer to sources.
func decodeCompiled(answer []byte, sources []input.File) (*granted.Document, json.RawMessage, error) {
	var response input.CompileResponse
	line, document, _ := bytes.Cut(answer, []byte("\n"))
	if err := granted.Unmarshal(line, &response); err != nil {
		return nil, nil, fmt.Errorf("compile: the compiler's answer: %w", err)
	}
	if response.FormatVersion != input.CompileFormat {
		return nil, nil, fmt.Errorf("compile: the compiler's answer has format_version %d, expected %d: casemate and casemated are of different versions", response.FormatVersion, input.CompileFormat)
	}
	if len(document) == 0 {
		return nil, response.Diagnostics, errors.New("the policy has errors")
	}
	doc, err := granted.Decode(document)
	if err == nil && len(sources) == 1 && input.IsDocument(sources[0].Name) && !bytes.Equal(doc.Text, bytes.TrimSuffix(sources[0].Data, []byte("\n"))) {
		err = errors.New("the compiler's answer is another document")
	}
	if err != nil {
		return nil, response.Diagnostics, fmt.Errorf("compile: %w", err)
	}
	return doc, response.Diagnostics, nil
}

// runCompiler starts the compiler, feeds it and collects its answer.
func (w *Warden) runCompiler(request []byte) ([]byte, error) {
	c, err := w.helperCell(compileProfile(), "casemate", "compile", "--stdin")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return w.converse(c, request)
}

// converse sends request to the one program of c and returns what it answers.
func (w *Warden) converse(c Cell, request []byte) ([]byte, error) {
	uid, err := w.lease()
	if err != nil {
		return nil, err
	}
	pid, fd, err := w.Link(c, uid, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	answer, err := exchange(fd, request, input.CompileDeadline)
	// A socket that the compiler closed early is the sign of its end, not the cause.
	ended := err == nil || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
	patience := graceTime
	if !ended {
		patience = 0
	}
	status, werr := w.endChild(pid, patience)
	switch {
	case !ended:
		return nil, fmt.Errorf("the compiler: %w", err)
	case werr != nil:
		return nil, werr
	case status.Signaled():
		return nil, fmt.Errorf("the compiler was killed by %s", unix.SignalName(status.Signal()))
	case status.ExitStatus() == 2:
		return nil, errors.New("the compiler crashed")
	case err != nil:
		return nil, fmt.Errorf("the compiler: %w", err)
	case len(answer) == 0:
		return nil, fmt.Errorf("the compiler answered nothing and exited with status %d", status.ExitStatus())
	}
	return answer, nil
}

// exchange writes all of request, ends that direction, and reads until the end
// of the other, both at once: the peer may answer before it has read all. It closes fd.
func exchange(fd int, request []byte, limit time.Duration) ([]byte, error) {
	err := unix.SetNonblock(fd, true) // so deadlines work
	f := os.NewFile(uintptr(fd), "compiler")
	defer f.Close()
	sent := make(chan error, 1)
	err = errors.Join(err, f.SetDeadline(time.Now().Add(limit)))
	if err != nil {
		return nil, err
	}
	panics.Go(func() error {
		if _, err := f.Write(request); err != nil {
			return err
		}
		return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	}, func(err error) { sent <- err })
	answer := bytes.NewBuffer(make([]byte, 0, min(8*len(request), maxCompiled)+bytes.MinRead)) // about what there will be
	_, err = answer.ReadFrom(io.LimitReader(f, maxCompiled+1))
	if answer.Len() > maxCompiled {
		err = fmt.Errorf("the answer is longer than %d bytes", maxCompiled)
	}
	if err != nil {
		_ = f.SetDeadline(time.Now()) // ends the writing too
	}
	if err = cmp.Or(err, <-sent); errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", limit, err)
	}
	return answer.Bytes(), err
}
