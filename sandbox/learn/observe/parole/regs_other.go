//go:build !amd64

package parole

// Threads are let go on amd64 alone: Open says so.
const (
	regsFrom = 0
	regsSize = 8
	regsCall = 0
)

var regsArgs [6]int16
