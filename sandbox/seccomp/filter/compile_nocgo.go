//go:build !(cgo && linux)

package filter

import "errors"

// Compile needs libseccomp: it fails in a program built without cgo.
func (f Filter) Compile() ([]byte, error) {
	return nil, errors.New("compile filter: built without cgo")
}
