package dynlink

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"path"
	"strings"
)

// shebang is the interpreter of a script, or "".
func shebang(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := f.Read(head)
	if err != nil {
		return "", err
	}
	line, script := bytes.CutPrefix(head[:n], []byte("#!"))
	if !script {
		return "", nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 || !path.IsAbs(words[0]) {
		return "", errUnsure
	}
	return words[0], nil
}

// loadedBy is the dynamic loader that a file asks for, if that is glibc's.
func loadedBy(name string) (string, error) {
	f, err := elf.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
		if loader := string(bytes.TrimRight(text, "\x00")); err == nil && path.IsAbs(loader) && path.Base(loader) == glibc {
			return loader, nil
		}
	}
	return "", errUnsure
}

// cacheFile is what ldconfig(8) makes: where libraries of other directories are.
const cacheFile = "/etc/ld.so.cache"

// The cache in glibc's format (sysdeps/generic/dl-cache.h): a head of 48 bytes with the
// number of entries at 20, then entries of 24 bytes: flags, the offsets of the name and
// of the path, and the hardware that it is for.
const (
	cacheMagic = "glibc-ld.so.cache1.1"
	cacheHead  = 48
	cacheEntry = 24
	maxCache   = 64 << 20
)

// readCache gives the paths of each library by its name, none where there is no cache or
// none of that format.
func readCache(name string) map[string][]string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCache))
	if err != nil {
		return nil
	}
	return parseCache(text)
}

func parseCache(text []byte) map[string][]string {
	// An older format may stand before it, to which its offsets do not count.
	i := bytes.Index(text, []byte(cacheMagic))
	if i < 0 || len(text)-i < cacheHead {
		return nil
	}
	text = text[i:]
	le, out := binary.LittleEndian, map[string][]string{}
	entries := text[cacheHead:]
	for range le.Uint32(text[20:]) {
		if len(entries) < cacheEntry {
			return nil
		}
		name, path := cString(text, le.Uint32(entries[4:])), cString(text, le.Uint32(entries[8:]))
		if le.Uint32(entries) == cacheHere && name != "" && path != "" {
			out[name] = append(out[name], path)
		}
		entries = entries[cacheEntry:]
	}
	return out
}

// cString is the text at an offset up to its NUL.
func cString(text []byte, at uint32) string {
	if int64(at) >= int64(len(text)) {
		return ""
	}
	s, _, ok := bytes.Cut(text[at:], []byte{0})
	if !ok {
		return ""
	}
	return string(s)
}
