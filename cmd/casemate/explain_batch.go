package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"casemate/policy/explain"
	"casemate/policy/granted"
)

// maxCase is the most bytes of one case.
const maxCase = 64 << 10

// batchFault is the line of a case that cannot be answered.
type batchFault struct {
	Error string `json:"error"`
	Line  int    `json:"line"`
}

// batch answers one line of JSON with one, until the input ends. Lines are written out as
// soon as no further one is waiting, so that a program can talk with it.
func (a *app) batch(ask func(*explain.Case) (explain.Verdict, error)) error {
	in, out := bufio.NewReaderSize(a.in, maxCase), bufio.NewWriterSize(a.out, maxCase)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	failed := 0
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errors.Join(fmt.Errorf("case in line %d: longer than %d bytes", n, maxCase), out.Flush())
		}
		if len(bytes.TrimSpace(line)) > 0 {
			v, cerr := answer(line, ask)
			if cerr != nil {
				failed++
				cerr = enc.Encode(batchFault{cerr.Error(), n})
			} else {
				cerr = enc.Encode(&v)
			}
			if cerr != nil {
				return fmt.Errorf("write output: %w", cerr)
			}
		}
		if in.Buffered() == 0 || err != nil {
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && failed > 0:
			fmt.Fprintf(a.err, "casemate: %d cases could not be answered\n", failed)
			return errReported
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read cases: %w", err)
		}
	}
}

func answer(line []byte, ask func(*explain.Case) (explain.Verdict, error)) (explain.Verdict, error) {
	var c explain.Case
	if err := granted.Unmarshal(line, &c); err != nil {
		return explain.Verdict{}, fmt.Errorf("no case: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return ask(&c)
}
