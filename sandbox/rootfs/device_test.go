package rootfs

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDeviceRefused: what is behind a name decides: the host's memory, disks, consoles and
// terminals are refused under every name, a block device too, and one of the standard
// devices that is another; a serial line is not. A number that any driver may have is one of those of
// a driver that is listed.
func TestDeviceRefused(t *testing.T) {
	before := charDevices
	charDevices = t.TempDir()
	defer func() { charDevices = before }()
	for number, class := range map[string]string{"250:0": "rtc", "511:0": "tty", "245:0": "hidraw", "511:1": "bsg"} {
		if err := errors.Join(os.Mkdir(charDevices+"/"+number, 0o755),
			os.Symlink("../../../../class/"+class, charDevices+"/"+number+"/subsystem")); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name         string
		mode         uint32
		major, minor uint32
		want         string // "" = it may be shown
	}{
		{"/dev/ttyS0", unix.S_IFCHR, 4, 64, ""},
		{"/dev/ttyUSB3", unix.S_IFCHR, 188, 3, ""},
		{"/dev/nst0", unix.S_IFCHR, 9, 128, ""},
		{"/dev/hwrng", unix.S_IFCHR, 10, 183, ""},
		{"/dev/x", unix.S_IFCHR, 1, 5, ""},
		{"/dev/zero", unix.S_IFCHR, 1, 5, ""},
		{"/dev/zero", unix.S_IFCHR, 1, 1, "is not the character device 1:5"},
		{"/dev/null", unix.S_IFREG, 1, 3, "is not a character device"},
		{"/dev/x", unix.S_IFCHR, 1, 1, "(1:1) is the host's memory"},
		{"/dev/x", unix.S_IFCHR, 1, 2, "memory"},
		{"/dev/x", unix.S_IFCHR, 1, 4, "io ports"},
		{"/dev/x", unix.S_IFCHR, 1, 11, "log or memory"},
		{"/dev/x", unix.S_IFCHR, 4, 0, "console"},
		{"/dev/x", unix.S_IFCHR, 4, 63, "console"},
		{"/dev/x", unix.S_IFCHR, 5, 0, "console"},
		{"/dev/x", unix.S_IFCHR, 5, 1, "console"},
		{"/dev/x", unix.S_IFCHR, 5, 2, "write pty = true"},
		{"/dev/x", unix.S_IFCHR, 7, 134, "console"},
		{"/dev/x", unix.S_IFCHR, 136, 7, "write pty = true"},
		{"/dev/x", unix.S_IFCHR, 10, 200, "a way into the kernel"},
		{"/dev/x", unix.S_IFCHR, 10, 232, "a way into the kernel"},
		{"/dev/x", unix.S_IFCHR, 13, 64, "keyboard"},
		{"/dev/x", unix.S_IFCHR, 21, 0, "disk"},
		{"/dev/x", unix.S_IFCHR, 202, 0, "processors"},
		{"/dev/x", unix.S_IFCHR, 180, 96, "keyboard"},
		{"/dev/usb/lp0", unix.S_IFCHR, 180, 0, ""},
		{"/dev/rtc0", unix.S_IFCHR, 250, 0, ""},
		{"/dev/ttyX0", unix.S_IFCHR, 511, 0, ""},
		{"/dev/rtc0", unix.S_IFCHR, 245, 0, `class "hidraw"`},
		{"/dev/x", unix.S_IFCHR, 511, 1, `class "bsg"`},
		{"/dev/x", unix.S_IFCHR, 250, 1, `class ""`}, // sysfs does not know it
		{"/dev/x", unix.S_IFCHR, 384, 0, `class ""`},
		{"/dev/x", unix.S_IFBLK, 8, 0, "is not a character device"},
		{"/dev/x", unix.S_IFREG, 0, 0, "is not a character device"},
		{"/dev/x", unix.S_IFDIR, 0, 0, "is not a character device"},
	} {
		err := device(tt.name, &unix.Stat_t{Mode: tt.mode | 0o666, Rdev: unix.Mkdev(tt.major, tt.minor)})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %o %d:%d: %v, want %q", tt.name, tt.mode, tt.major, tt.minor, err, tt.want)
		}
	}
}
