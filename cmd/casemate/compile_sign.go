package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"casemate/cmd/casemate/output"
	"casemate/policy/input"
	"casemate/policy/signed"
	"casemate/policy/signed/key"
)

// writeDocument writes a document to a file, and its signature beside it where keyFile is not "": both, or none. A load
// between the two finds one that does not fit, and is refused.
func writeDocument(name string, document []byte, keyFile string) error {
	if !input.IsDocument(name) {
		return fmt.Errorf("compile --write %s: casemated takes a document by the end of its name: write %s.json", name, strings.TrimSuffix(name, input.SourceSuffix))
	}
	list := []rewrite{{name: name, new: document}}
	if keyFile != "" {
		signature, err := signature(keyFile, document)
		if err != nil {
			return fmt.Errorf("compile --sign %s: %w", keyFile, err)
		}
		list = append([]rewrite{{name: name + signed.Suffix, new: signature}}, list...)
	}
	return writeAll(list, os.Rename)
}

// maxKey is how large the file of a private key may be, in bytes.
const maxKey = 64 << 10

func signature(keyFile string, document []byte) ([]byte, error) {
	info, err := os.Stat(keyFile)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxKey:
		return nil, errors.New("not a key of OpenSSH: make one with ssh-keygen -t ed25519")
	}
	text, err := os.ReadFile(keyFile)
	switch {
	case err != nil:
		return nil, err
	case key.IsPublic(text):
		return byAgent(text, document)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may read it (mode %04o): run chmod go= %s, and make a new key if somebody may have", info.Mode().Perm(), keyFile)
	}
	private, err := key.Parse(text)
	if err != nil {
		return nil, err
	}
	return key.Sign(private, document), nil
}

// agentTimeout is for an agent that asks somebody, or waits for a touch of hardware.
const agentTimeout = 2 * time.Minute

// byAgent has the agent of SSH_AUTH_SOCK sign with the private key of a public one.
func byAgent(public, document []byte) ([]byte, error) {
	p, err := key.ParsePublic(string(public))
	if err != nil {
		return nil, err
	}
	at := os.Getenv("SSH_AUTH_SOCK")
	if at == "" {
		return nil, errors.New("it is a public key, and SSH_AUTH_SOCK names no agent that would sign with the private one: name the private one, or start ssh-agent and ssh-add it")
	}
	agent, err := net.DialTimeout("unix", at, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("ask the agent of SSH_AUTH_SOCK: %w", err)
	}
	defer agent.Close()
	if err := agent.SetDeadline(time.Now().Add(agentTimeout)); err != nil {
		return nil, fmt.Errorf("ask the agent of SSH_AUTH_SOCK: %w", err)
	}
	return key.Ask(agent, p, document)
}

// trusted is a no where the one document at paths has no signature beside it by a key of a file.
func (a *app) trusted(keyFile string, paths []string) error {
	if len(paths) != 1 || !input.IsDocument(paths[0]) || len(onDisk(paths)) == 0 {
		return errors.New("check --trust: name one compiled document (*.json), which its signature stands beside")
	}
	var texts [3][]byte
	for i, name := range []string{paths[0], paths[0] + signed.Suffix, keyFile} {
		info, err := os.Stat(name)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > input.MaxSourceAll) {
			err = errors.New("not a regular file, or too large")
		}
		if err == nil {
			texts[i], err = os.ReadFile(name)
		}
		if i == 1 && errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("check --trust: %w: casemate compile --sign makes it beside the document", err)
		}
		if err != nil {
			return fmt.Errorf("check --trust: %w", err)
		}
	}
	by, err := key.Verify(texts[0], texts[1], texts[2])
	switch {
	case err != nil:
		fmt.Fprintf(a.err, "casemate: --trust: %s: %v\n", output.OneLine(paths[0]+signed.Suffix), err)
		return errNo
	case by != nil:
		fmt.Fprintf(a.err, "casemate: --trust: %s is by a key in hardware, and casemated --trust takes plain ssh-ed25519 keys alone\n", output.OneLine(paths[0]+signed.Suffix))
	}
	return nil
}
