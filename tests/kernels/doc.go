// Command kernels boots the kernels that casemate is meant for, in emulation,
// and runs the tests there.
//
// It boots Debian 12's own cloud kernel (6.1) and that of its backports (6.12),
// each with the escape suite and the root tests (but those that need packages),
// and Debian 12 under systemd with casemated as the shipped unit (package
// unit). The root file system is a debootstrapped Debian 12 with the product's
// binaries, in an initramfs that moves itself into a tmpfs: the kernel gives no
// other root to a pivot. The machines have no network but their loopback.
//
// Named with -only it boots a machine of another architecture too: arm64, with the kernel of Debian 12
// for it, and those packages' tests beside that depend on the architecture. Its programs are
// built with a cross compiler, and its Debian is unpacked alone, for none of its programs run
// on this host.
//
// A guest reports on its second serial line, one mark before and after each
// step and the tests' own output between them; its console goes to a file. A
// failed test, a skip for another reason than a missing program or an old kernel,
// a missing end or a passed deadline fails the run.
//
// It needs root, qemu-system-x86_64, debootstrap, gcc, and the product's
// binaries: make test-kernels, and make test-kernels MACHINES=arm64.
package main
