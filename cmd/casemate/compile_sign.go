package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"casemate/policy"
	"casemate/policy/signed"
	"casemate/policy/signed/key"
)

// writeDocument writes a document to a file, and its signature beside it where keyFile is not "". A load between
// the two finds one that does not fit, and is refused.
func writeDocument(name string, document []byte, keyFile string) error {
	if !policy.IsDocument(name) {
		return fmt.Errorf("compile --write %s: casemated takes a document by the end of its name: write %s.json", name, strings.TrimSuffix(name, policy.SourceSuffix))
	}
	if keyFile != "" {
		signature, err := signature(keyFile, document)
		if err != nil {
			return fmt.Errorf("compile --sign %s: %w", keyFile, err)
		}
		if err := replaceOrMake(name+signed.Suffix, signature); err != nil {
			return err
		}
	}
	return replaceOrMake(name, document)
}

// maxKey is how large the file of a private key may be, in bytes.
const maxKey = 64 << 10

func signature(keyFile string, document []byte) ([]byte, error) {
	info, err := os.Stat(keyFile)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxKey:
		return nil, errors.New("not a private key of OpenSSH: make one with ssh-keygen -t ed25519")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may read it (mode %04o): run chmod go= %s, and make a new key if somebody may have", info.Mode().Perm(), keyFile)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	private, err := key.Parse(text)
	if err != nil {
		return nil, err
	}
	return key.Sign(private, document), nil
}

// replaceOrMake is replace, also where there is no file yet.
func replaceOrMake(name string, data []byte) error {
	if _, err := os.Lstat(name); err == nil {
		return replace(name, data)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".casemate-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
