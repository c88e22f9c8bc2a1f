// Bench measures casemate against its peers from Debian and against the floor
// the kernel sets, in one run, pair by pair, and prints a markdown report.
//
// Every comparison is made in turns: each round visits every target once, in
// rotating order, so that whatever else the machine does falls on all of them
// alike. What counts is the median of the rounds' ratios; bare numbers stand
// beside it for orientation only. Echoes of datagrams come at one pace for all, and what is
// lost of them counts.
//
// It needs root, gcc with a static libc, and the product's binaries (make
// build). openbsd-inetd and xinetd exclude each other as packages, so both are
// downloaded with apt-get and unpacked into a cache folder, never installed:
// no service of theirs starts, and nothing of the host changes.
package main
