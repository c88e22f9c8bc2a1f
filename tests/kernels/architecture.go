package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// architecture is what differs between the processors of machines.
type architecture struct {
	name  string // as Go and Debian have it
	tuple string // as compilers have it
	// qemu is the emulator with its machine, memory and disk, a file with its path at the end, emulated the processor that it emulates,
	// console and report are the serial lines as the guest has them.
	qemu            []string
	emulated        string
	console, report string
}

// What QEMU 7.2 emulates well: one processor (several trip over each other's patching of the kernel), and of
// x86 one without cmpxchg16b (it spoils the flags, and 6.12 panics). The machine of arm64 has one serial line
// of its own, and gets another as a card. That of x86 has its disk as persistent memory, which no program of the guest waits for: see machine.processor.
var (
	amd64 = &architecture{"amd64", "x86_64-linux-gnu",
		[]string{"qemu-system-x86_64", "-machine", "pc,nvdimm=on", "-m", "4096,slots=1,maxmem=32G",
			"-device", "nvdimm,memdev=disk", "-object", "memory-backend-file,id=disk,share=off,reserve=off,size=" + diskSize + ",mem-path="}, "qemu64,-cx16", "ttyS0", "ttyS1"}
	arm64 = &architecture{"arm64", "aarch64-linux-gnu",
		[]string{"qemu-system-aarch64", "-machine", "virt,gic-version=3", "-m", "3072",
			"-drive", "if=virtio,format=raw,snapshot=on,cache=unsafe,file="}, "cortex-a57", "ttyAMA0", "ttyS0"}
)

// here tells whether it is this host's own.
func (a *architecture) here() bool { return a.name == runtime.GOARCH }

// serials are the options of the two serial lines: the console into a file, the report to the caller.
func (a *architecture) serials(console string) []string {
	report := []string{"-serial", "stdio"}
	if a == arm64 {
		report = []string{"-chardev", "stdio,id=report", "-device", "pci-serial,chardev=report"}
	}
	return append([]string{"-serial", "file:" + console}, report...)
}

// environment has the go command build for it.
func (a *architecture) environment(cgo bool) []string {
	env := []string{"GOARCH=" + a.name, "CGO_ENABLED=0"}
	if cgo {
		env[1] = "CGO_ENABLED=1"
	}
	if !a.here() {
		env = append(env, "CC="+a.compiler())
		if root, err := filepath.Abs(filepath.Join(".cache", a.name)); err == nil { // of make deps-arm64
			env = append(env, "PKG_CONFIG_SYSROOT_DIR="+root, "PKG_CONFIG_LIBDIR="+filepath.Join(root, "usr/lib", a.tuple, "pkgconfig"))
		}
	}
	return env
}

// compiler is the C compiler for it.
func (a *architecture) compiler() string {
	if a.here() {
		return "gcc"
	}
	return a.tuple + "-gcc"
}

// apt gives the options with which apt knows the packages of the architecture, in lists of its own
// beside the host's, which stay as they are. They are fetched if they are not there.
func (a *architecture) apt(ctx context.Context, cache string) ([]string, error) {
	if a.here() {
		return nil, nil
	}
	dir, err := filepath.Abs(filepath.Join(cache, "apt-"+a.name))
	if err != nil {
		return nil, err
	}
	options := []string{"-o", "APT::Architecture=" + a.name, "-o", "APT::Architectures::=" + a.name, "-o", "Dir::State=" + dir,
		"-o", "Dir::State::status=" + filepath.Join(dir, "status"), "-o", "Dir::Cache=" + filepath.Join(dir, "cache")}
	if _, err := os.Stat(filepath.Join(dir, "status")); err == nil {
		return options, nil
	}
	err = errors.Join(os.MkdirAll(filepath.Join(dir, "lists/partial"), 0o755), os.MkdirAll(filepath.Join(dir, "cache/archives/partial"), 0o755))
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, "", "apt-get", append(options, "update", "-q")...); err != nil {
		return nil, err
	}
	return options, os.WriteFile(filepath.Join(dir, "status"), nil, 0o644) // no package is installed
}
