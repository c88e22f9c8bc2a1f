package key

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"casemate/policy/signed"
)

// Messages of an agent (draft-ietf-sshm-ssh-agent), and how long one is at most that is read, in bytes.
const (
	signRequest  = 13
	signResponse = 14
	maxMessage   = 256 << 10
)

// Ask has an agent sign a document with the private key of p, and holds what it answers to that. The signature is as Sign's.
func Ask(agent io.ReadWriter, p *Public, document []byte) ([]byte, error) {
	message := signed.Message(document)
	request := string([]byte{signRequest}) + text(p.blob) + text(string(message)) + "\x00\x00\x00\x00"
	if _, err := io.WriteString(agent, text(request)); err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(agent, size[:]); err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxMessage {
		return nil, errors.New("ask the agent: it answers what is none")
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(agent, answer); err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	if answer[0] != signResponse {
		return nil, errors.New("the agent does not sign with that key: it has not got it (ssh-add -l), or is locked, or was not allowed to")
	}
	r := reader{b: answer[1:]}
	own := r.text()
	if r.bad || len(r.b) > 0 {
		return nil, errors.New("ask the agent: it answers what is none")
	}
	if err := p.verify(message, own); err != nil {
		return nil, fmt.Errorf("the agent's signature: %w", err)
	}
	return armored(p.head() + text(own)), nil
}

// armored is a signature as a file, in lines as long as ssh-keygen's.
func armored(blob string) []byte {
	text := base64.StdEncoding.EncodeToString([]byte(blob))
	var out strings.Builder
	out.WriteString(signed.Begin)
	for len(text) > lineLength {
		out.WriteString(text[:lineLength] + "\n")
		text = text[lineLength:]
	}
	out.WriteString(text + signed.End)
	return []byte(out.String())
}
