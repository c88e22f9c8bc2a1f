package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxMessage and maxHeader bound what an editor may send at once, in bytes: a policy file and some, escaped.
const (
	maxMessage = 16 << 20
	maxHeader  = 4 << 10
)

// codec reads and writes messages as the protocol frames them. That of jsonrpc2 takes any length at its word, and
// loses its place behind one that ends in white space.
type codec struct{}

// WriteObject writes a message.
func (codec) WriteObject(to io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(to, "Content-Length: %d\r\n\r\n%s", len(text), text)
	}
	return err
}

// ReadObject reads one. An error ends the connection: nobody knows where the next one begins.
func (codec) ReadObject(from *bufio.Reader, v any) error {
	length, header := -1, 0
	for {
		line, err := readLine(from, maxHeader-header)
		if err != nil {
			return err
		}
		header += len(line)
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Length") {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if err != nil || n > maxMessage {
				return fmt.Errorf("lsp: a message of %q bytes: at most %d are read", strings.TrimSpace(value), maxMessage)
			}
			length = int(n)
		}
	}
	if length < 0 {
		return errors.New("lsp: a message without Content-Length")
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(from, text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// readLine reads up to the next newline, and at most so many bytes.
func readLine(from *bufio.Reader, most int) (string, error) {
	var b strings.Builder
	for {
		c, err := from.ReadByte()
		if err != nil {
			return "", err
		}
		if b.WriteByte(c); c == '\n' {
			return b.String(), nil
		}
		if b.Len() > most {
			return "", fmt.Errorf("lsp: a header longer than %d bytes", maxHeader)
		}
	}
}
