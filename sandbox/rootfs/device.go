package rootfs

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Devices are the device nodes that have their names on every host, with their numbers
// (Linux admin-guide/devices.txt), and no terminal but the name that each session has for its own.
var Devices = map[string]struct{ Major, Minor uint32 }{
	"/dev/null":    {1, 3},
	"/dev/tty":     {5, 0},
	"/dev/zero":    {1, 5},
	"/dev/full":    {1, 7},
	"/dev/random":  {1, 8},
	"/dev/urandom": {1, 9},
}

// refused are character devices by major and minor numbers (the same list) that would
// show the host itself, or what others do there, or would open a way around the sandbox.
var refused = []struct {
	major, from, to uint32
	why             string
}{
	{1, 1, 2, "is the host's memory"}, {1, 4, 4, "is the host's io ports"}, {1, 10, 1 << 20, "is the host's log or memory"},
	{2, 0, 1 << 20, pty}, {3, 0, 1 << 20, pty}, {5, 2, 2, pty}, {136, 0, 1 << 20, pty},
	{4, 0, 63, console}, {5, 0, 1, console}, {7, 0, 1 << 20, console}, {29, 0, 1 << 20, console},
	{10, 0, 182, module}, {10, 184, 1 << 20, module}, // 183 gives random numbers
	{13, 0, 1 << 20, hid}, {180, 96, 111, hid},
	{21, 0, 1 << 20, disk}, {90, 0, 1 << 20, disk}, {162, 0, 1 << 20, disk},
	{108, 0, 1 << 20, "makes network interfaces"}, {202, 0, 1 << 20, "is the host's processors"},
}

const (
	pty     = "is a terminal of others: write pty = true for terminals of its own"
	console = "is the host's console"
	hid     = "is the host's keyboard or mouse"
	module  = "is a way into the kernel, as to make processes, network interfaces or file systems"
	disk    = "is a disk of the host"
)

// The kernel gives a number of these to whichever driver asks for one (Linux fs/char_dev.c,
// CHRDEV_MAJOR_DYN_END to 254 and CHRDEV_MAJOR_DYN_EXT_END to 511): what it says of a device counts there.
// Most that ask (hidraw, bsg, nvme, macvtap, vfio, uio, watchdog, mei) are the host itself, and drivers
// come with each kernel, so those are listed that are not.
func dynamic(major uint32) bool { return major >= 234 && major <= 254 || major >= 384 && major <= 511 }

var drivers = []string{"gpio", "iio", "lirc", "media", "pps", "ptp", "rtc", "tty"}

var charDevices = "/sys/dev/char" // a variable for tests

// device checks the node that name led to.
func device(name string, st *unix.Stat_t) error {
	major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev)
	want, ok := Devices[name]
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFCHR:
		return fmt.Errorf("%s is not a character device", name)
	case ok && (major != want.Major || minor != want.Minor):
		return fmt.Errorf("%s is not the character device %d:%d", name, want.Major, want.Minor)
	}
	if dynamic(major) {
		link, _ := os.Readlink(fmt.Sprintf("%s/%d:%d/subsystem", charDevices, major, minor)) // or ""
		if kind := path.Base(link); !slices.Contains(drivers, kind) {
			return fmt.Errorf("%s (%d:%d) belongs to the driver class %q (sysfs), and what can be shared is of %s",
				name, major, minor, strings.Trim(kind, "."), strings.Join(drivers, ", "))
		}
	}
	for _, r := range refused {
		if !ok && major == r.major && minor >= r.from && minor <= r.to {
			return fmt.Errorf("%s (%d:%d) %s", name, major, minor, r.why)
		}
	}
	return nil
}
