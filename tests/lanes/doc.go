// Command lanes runs the tests that start brokers, two at a time: most of them wait, for a backoff, a limit or a client that is slow.
// Each test is a process of its own, in namespaces of its own, with nobody else's processes, ports, mounts or state directories,
// so that it may count what it sees. What cannot be there runs in the end, alone and on the host (host).
// It prints a line for each, all that a failed one has said, and their names once more at the end.
//
//	lanes [-lanes N] [-run REGEXP] PACKAGE...
package main
