package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
)

// needHierarchy skips where there is no cgroup v2 to write to.
func needHierarchy(t *testing.T) Hierarchy {
	t.Helper()
	need.Root(t, "it makes control groups")
	h, err := Claim()
	if err != nil {
		need.Kernel(t, "no cgroup v2 for us: %v", err)
	}
	return h
}

// group names a fresh group and sees to it that none is left.
func group(t *testing.T) string {
	t.Helper()
	p := filepath.Join(needHierarchy(t).Path, fmt.Sprintf("casemate-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	t.Cleanup(func() {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind (%v)", p, err)
			Destroy(p, time.Second)
		}
	})
	return p
}

// join starts a process in the group; it and its child only end by a signal.
func join(t *testing.T, fd int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "sleep 1000 & exec sleep 1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestGroupLife(t *testing.T) {
	p := group(t)
	h := needHierarchy(t)
	fd, err := h.Create(p, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if _, err := h.Create(p, Limits{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it twice: %v", err)
	}
	if err := os.Mkdir(p+"/sub", 0o755); err != nil { // a service's own
		t.Fatal(err)
	}
	sub, err := syscall.Open(p+"/sub", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(sub)
	cmd := join(t, sub)
	if err := Remove(p + "/sub"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("removing a group with processes: %v", err)
	}
	if err := waitEmpty(p, time.Now().Add(-time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting for a group with processes: %v", err)
	}
	if err := Destroy(p, 10*time.Second); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("process in the group: %v", err)
	}
	if err := Destroy(p, time.Second); err != nil {
		t.Errorf("destroying nothing: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	h := needHierarchy(t)
	dir := t.TempDir()
	for _, c := range []struct {
		name, path string
		limits     Limits
	}{
		{"further below", h.Path + "/casemate-test-none/g", Limits{}},
		{"too many processors", h.Path + "/casemate-test-cpu", Limits{CPU: 1e15}},
	} {
		if fd, err := h.Create(c.path, c.limits); err == nil || fd != -1 {
			t.Errorf("%s: %d, %v", c.name, fd, err)
		}
		if _, err := os.Stat(c.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left behind (%v)", c.name, err)
		}
	}
	for _, f := range []func(string) error{Remove, func(p string) error { return Destroy(p, 0) }} {
		if err := f(dir); err == nil {
			t.Error("a plain directory was taken for a group")
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// With the controllers the limits are in force, without them the error names
// those that are missing; either way nothing stays.
func TestCreateLimits(t *testing.T) {
	h, l := needHierarchy(t), Limits{Memory: 64 << 20, Pids: 7, CPU: 500}
	p := group(t)
	fd, err := h.Create(p, l)
	have, werr := words(filepath.Join(h.Path, "cgroup.controllers"))
	if werr != nil {
		t.Fatal(werr)
	}
	missing := slices.DeleteFunc([]string{"memory", "pids", "cpu"}, func(c string) bool { return slices.Contains(have, c) })
	if len(missing) > 0 {
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), " for "+strings.Join(missing, ", ")+" in ") {
			t.Fatalf("%v, want ErrMissing of %v", err, missing)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	for file, want := range map[string]string{"memory.max": "67108864", "pids.max": "7", "cpu.max": "50000 100000"} {
		if got, err := os.ReadFile(filepath.Join(p, file)); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q %v, want %q", file, got, err, want)
		}
	}
	if err := Remove(p); err != nil {
		t.Error(err)
	}
}

// Controllers are switched on for the groups below, as far as there are any.
func TestEnable(t *testing.T) {
	h := needHierarchy(t)
	have, err := words(filepath.Join(h.Path, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	if len(have) == 0 {
		need.Kernel(t, "no version 2 controller at all")
	}
	c, control := have[0], filepath.Join(h.Path, "cgroup.subtree_control")
	if on, err := words(control); err != nil {
		t.Fatal(err)
	} else if !slices.Contains(on, c) {
		t.Cleanup(func() {
			if err := write(control, "-"+c); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		if err := h.enable([]setting{{controller: c}, {controller: c}}); err != nil {
			t.Error(err)
		}
		if on, err := words(control); err != nil || !slices.Contains(on, c) {
			t.Errorf("switched on are %v %v, want %s", on, err, c)
		}
	}
	if err := h.enable([]setting{{controller: c}, {controller: "nonsense"}, {controller: "nonsense"}}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), " for nonsense in ") {
		t.Errorf("got %v", err)
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   []string
	}{
		{Limits{}, nil},
		{Limits{Memory: 1 << 20}, []string{"memory memory.max=1048576", "memory memory.swap.max=0"}},
		{Limits{Pids: 3, CPU: 250}, []string{"pids pids.max=3", "cpu cpu.max=25000 100000"}},
		{Limits{CPU: 4000}, []string{"cpu cpu.max=400000 100000"}},
		{Limits{CPU: 10}, []string{"cpu cpu.max=1000 100000"}},
	} {
		s := c.limits.settings()
		var got []string
		for _, s := range s {
			got = append(got, s.controller+" "+s.file+"="+s.value)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v", c.limits, got)
		}
	}
}

func TestApply(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := Limits{Memory: 5}.settings()
	if err := apply(dir, s); err != nil {
		t.Errorf("without memory.swap.max: %v", err)
	}
	s = Limits{Pids: 5}.settings()
	if err := apply(dir, s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without pids.max: %v", err)
	}
}
