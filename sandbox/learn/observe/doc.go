// Package observe follows the processes of a service with ptrace(2) and tells what
// they did as facts of package learn.
//
// A service's zygote is seized and left running; what it clones for a connection is
// followed from its birth, left alone until it has executed the service's program, and
// from there on stopped at the entry and at the exit of every call. A stop at the entry
// is before seccomp, so a call that the filter refuses is seen with its answer.
//
// A thread that makes calls which are alike without end is let go (free.go): it stops then for calls
// that are unlike all before, once they are made, and package parole counts the others.
//
// Nothing is changed in what is followed. When the tracer ends, in whatever way, the kernel lets go
// of everything and all of it runs on: nothing is set that would end or stop it.
package observe
