// Bench measures casemate against its peers from Debian and against the floor
// the kernel sets, in one run, pair by pair. It prints a markdown report, whose last table has
// a row for each comparison with what it is held to, and writes the same as JSON.
//
// Every comparison is made in turns: each round visits every target once, in
// rotating order, so that whatever else the machine does falls on all of them
// alike. What counts is the median of the rounds' ratios; bare numbers stand
// beside it for orientation only. Echoes of datagrams come at one pace for all, and what is
// lost of them counts.
//
// A row's aim is what was set out for, not what holds on every machine: one that is missed says so in its
// row, and with -strict the run fails. A part that fails leaves the others' rows as they are.
//
// It needs root, gcc with a static libc, and the product's binaries (make
// build). openbsd-inetd and xinetd exclude each other as packages, so all peers are
// downloaded with apt-get and unpacked into a cache folder, never installed:
// no service of theirs starts, and nothing of the host changes.
package main
