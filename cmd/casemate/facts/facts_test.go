package facts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"
)

// TestRoundTrip: what a host answered is answered again from a file, errors by their causes too.
func TestRoundTrip(t *testing.T) {
	live := Gather(&Net{}, "")
	ask := func(f *Facts) (out []string) {
		say := func(v any, err error) {
			if file, ok := v.(*hostpath.File); ok && file != nil {
				v = []any{file.Real, file.Host, file.Stat.Mode, file.ID(), file.Links, file.Through}
			}
			out = append(out, fmt.Sprint(v, err, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.As(err, new(*hostpath.UnsafeError))))
		}
		for _, name := range []string{"/bin/sh", "/etc/passwd", "/nothing-here", "/etc/passwd/x"} {
			file, err := f.Find(nil, name)
			say(file, err)
			file, err = f.Entry(&rootfs.Entry{Kind: rootfs.ReadOnly, Path: name}, nil)
			say(file, err)
		}
		uid, _, err := f.User("root")
		say(uid, err)
		_, _, err = f.User("no-such-user")
		say(0, err)
		_, err = f.Group("no-such-group")
		say(0, err)
		say(0, f.CheckDir("/run"))
		say(0, f.CheckDir("/nothing-here"))
		real, loader, err := f.Interpreted(nil, "/bin/sh")
		say(real+loader, err)
		return out
	}
	want := ask(live)
	var text bytes.Buffer
	if err := live.Write(&text); err != nil {
		t.Fatal(err)
	}
	file, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(file); !reflect.DeepEqual(got, want) {
		t.Errorf("from the file %q\non the host %q", got, want)
	}
	var unknown *Unknown
	if _, err := file.Find(nil, "/usr"); !errors.As(err, &unknown) {
		t.Errorf("what was not asked: %v", err)
	}
	if _, _, err := file.User("daemon"); !errors.As(err, &unknown) {
		t.Errorf("who was not asked for: %v", err)
	}
}

// TestRead refuses what is no facts, and what code that walks paths could not bear.
func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		``:                        "EOF",
		`{}`:                      "format_version 0",
		`{"format_version":2}`:    "format_version 2",
		`{"format_version":1} {}`: "something follows",
		`{"format_version":1,"paths":{"x":null}}`:                                                     "no answer",
		`{"format_version":1,"paths":{"x":{"file":{"real":"bin"}}}}`:                                  "not an absolute path",
		`{"format_version":1,"paths":{"x":{"file":{"real":"/a/../b"}}}}`:                              "not an absolute path",
		`{"format_version":1,"paths":{"x":{"file":{"real":"/a","links":[{"path":"b","text":"c"}]}}}}`: "no link",
		`{"format_version":1,"paths":{"x":{"error":{}}}}`:                                             "without a text",
		`{"format_version":1,"paths":{"x":{"interpreter":{}}}}`:                                       "of no program",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f, err := Read(strings.NewReader(`{"format_version":1,"users":{"a":{"error":"x\u001b[31m\ny"}}}`))
	if err != nil || strings.ContainsAny(f.Users["a"].Error, "\x1b\n") {
		t.Errorf("%+v %v", f, err)
	}
}

func TestFaultKeepsCauses(t *testing.T) {
	err := fault(&hostpath.UnsafeError{Path: "/a", Reason: "belongs to uid 7", Next: "run chown"}).err()
	var unsafe *hostpath.UnsafeError
	if !errors.As(err, &unsafe) || unsafe.Next != "run chown" || err.Error() != "/a belongs to uid 7: run chown" {
		t.Error(err)
	}
	if err := fault(&fs.PathError{Op: "open", Path: "/a", Err: syscall.ENOENT}).err(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
