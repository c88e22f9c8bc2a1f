// Command kernels boots the kernels that casemate is meant for and runs the tests there.
//
// It boots Debian 12's own cloud kernel (6.1) and that of its backports (6.12),
// each with the escape suite and the root tests, and Debian 12 under systemd with casemated as the shipped unit (package
// unit). The disk of a machine is a Debian 12 with every package that make test asks for, made once, the kernels' modules, the product's binaries and
// the repository; what a machine writes to it is gone with the machine. There is no network but its loopback. Nothing may be left out
// there but for what the kernel lacks, by the word of a probe.
//
// A machine runs by KVM where this host's processor has what that takes, with real time and a core of two threads. Else, or with -emulate, it is
// emulated: one processor, whose time is counted in instructions, and which is ten to twenty times as slow.
//
// Named with -only it boots a machine of another architecture too: arm64, emulated, with the kernel of Debian 12
// for it, and those packages' tests beside that depend on the architecture. Its programs are
// built with a cross compiler, and its Debian is minimal and unpacked alone, for none of its programs run
// on this host: tests that need others are left out there.
//
// A test that has passed on a machine with this commit and its kernel is left out the next time (NAME.passed beside the images),
// so that runs that are ended, by a deadline too, come to the end between them; -again runs all of them. Where the tree has changes that are not
// committed, all are run and nothing is noted.
//
// A guest reports on its second serial line, one mark before and after each
// step and the tests' own output between them; its console goes to a file. A
// failed test, a skip for another reason than a missing program or an old kernel,
// a missing end or a passed deadline fails the run.
//
// It needs root, qemu-system-x86_64, debootstrap, gcc, and the product's
// binaries: make test-kernels, and make test-kernels MACHINES=arm64.
package main
