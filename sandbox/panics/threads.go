package panics

import (
	"runtime"
	"sync"
)

// spares is how many threads wait for work: more than two processors and what
// blocks in the kernel take at once.
const spares = 16

// SpareThreads makes threads ahead. They stay, and nothing takes one with it. Where no
// more may be made, because the services have filled the control group
// that they share with the broker, Go's runtime ends a process that needs one.
func SpareThreads() {
	var all sync.WaitGroup
	all.Add(spares)
	for range spares {
		Go(func() error {
			runtime.LockOSThread() // so that each has one
			all.Done()
			all.Wait()
			return nil
		}, func(error) { runtime.UnlockOSThread() })
	}
	all.Wait()
}
