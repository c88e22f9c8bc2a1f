// Package broker is the privileged heart of casemated: it opens the listeners
// of a compiled policy, accepts, decides by address and counters, hands every
// connection to its service's zygote, and reaps.
//
// It runs as root and therefore never reads a byte that a client sent or a
// service wrote, parses no policy language, asks no DNS and serves no built-in:
// unprivileged workers (casemate compile, casemate-worker) do that, each in a
// sandbox, and their answers are parsed strictly. The log worker's lines are put
// into the log as they come: of those only the length and the last byte are looked at.
//
// One event loop on one OS thread owns all state, so nothing here is locked:
// other goroutines hand the loop a function (loop.do). A live session costs a
// pidfd and one record; no goroutine or thread belongs to it.
package broker
