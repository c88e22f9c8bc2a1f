// Package nodes is what of rootfs.Devices a profile names, for who writes, judges
// or explains one; the broker looks devices up by their paths.
package nodes

import (
	"slices"
	"strings"

	"casemate/sandbox/rootfs"
)

// Names are the device nodes that a profile may show, sorted: all but the
// terminal, which comes with pty.
var Names = func() (names []string) {
	for p := range rootfs.Devices {
		if name := strings.TrimPrefix(p, "/dev/"); name != "tty" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}()
