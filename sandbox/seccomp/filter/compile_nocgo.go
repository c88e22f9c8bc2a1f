//go:build !(cgo && linux && amd64)

package filter

import (
	"errors"
	"strconv"
)

// Compile needs libseccomp: it fails in a program built without cgo, or for
// anything but linux/amd64.
func (f Filter) Compile() ([]byte, error) {
	return nil, errors.New("compile filter: built without cgo, or not for linux/amd64")
}

// Name is the number of a call.
func Name(call int) string { return strconv.Itoa(call) }
