//go:build !(cgo && linux && amd64)

package filter

import "errors"

// Compile needs libseccomp: it fails in a program built without cgo, or for
// anything but linux/amd64.
func (f Filter) Compile() ([]byte, error) {
	return nil, errors.New("compile filter: built without cgo, or not for linux/amd64")
}
