package root

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestStoppedZygoteGoesWithItsBroker: a zygote that does not run any more cannot see that its broker has ended. casemated ends it all the
// same, and who waits for the program that it was to start is let go, not kept for ever.
func TestStoppedZygoteGoesWithItsBroker(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+service("cat", "tcp4://127.0.0.1:"+port, need.Programs(t, "cat"), "profile = profile.line"))
	if answer, err := rig.Exchange(port, "there\n"); err != nil || answer != "there\n" {
		t.Fatalf("%q, %v", answer, err)
	}
	s, err := b.Service("cat")
	if err != nil || s.ZygotePID == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	rig.Signal(t, s.ZygotePID, unix.SIGSTOP)
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("held\n")); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(3*time.Second, func() error { // a start that hangs is given up after 5 s, with its zygote
		s, err := b.Service("cat")
		if err == nil && s.Live != 1 {
			err = fmt.Errorf("it has %d clients", s.Live)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	killBroker(t, b)
	if err := rig.Until(20*time.Second, func() error {
		if err := unix.Kill(s.ZygotePID, 0); err != unix.ESRCH {
			return fmt.Errorf("zygote %d is left (%v)", s.ZygotePID, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	var timeout net.Error
	if n, err := io.ReadFull(c, make([]byte, 1)); n > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("its client is kept: %d bytes, %v", n, err)
	}
	if answer, err := rig.Exchange(port, "there\n"); err != nil || answer != "there\n" {
		t.Errorf("after it: %q, %v", answer, err)
	}
}
