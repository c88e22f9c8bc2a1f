package output

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Places makes names of files relative to Root, which names of files relative to Dir are
// below. Both are absolute; the zero Places leaves relative names alone.
type Places struct{ Root, Dir string }

// Here is where this process runs: Root is the directory of the repository around it, as
// services that show findings beside a source take names from there, and the working
// directory where there is none.
func Here() Places {
	dir, err := os.Getwd()
	if err != nil {
		return Places{}
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
			return Places{root, dir}
		}
		if root == filepath.Dir(root) {
			return Places{dir, dir}
		}
	}
}

// Name is a file relative to the root, with forward slashes and never with one in front or
// a .. in it: what lies elsewhere begins at the top of the file system.
func (p Places) Name(file string) string {
	if file == "" {
		return ""
	}
	if !filepath.IsAbs(file) && p.Dir != "" {
		file = filepath.Join(p.Dir, file)
	}
	file = filepath.Clean(file)
	if rel, err := filepath.Rel(p.Root, file); p.Root != "" && err == nil && filepath.IsLocal(rel) {
		file = rel
	}
	for strings.HasPrefix(file, "../") {
		file = file[len("../"):]
	}
	return strings.TrimLeft(filepath.ToSlash(file), "/")
}

// URI is Name as a relative reference of RFC 3986.
func (p Places) URI(file string) string {
	parts := strings.Split(p.Name(file), "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(part), ":", "%3A") // which would begin a scheme
	}
	return strings.Join(parts, "/")
}
