package broker

import (
	"runtime"
	"sync"

	"casemate/sandbox/panics"
)

// spares is how many threads wait for work: more than two processors and what
// blocks in the kernel take at once.
const spares = 16

// spareThreads makes threads ahead. They stay, and nothing takes one with it. Where no
// more may be made, because the services have filled the control group
// that they share with the broker, Go's runtime ends a process that needs one.
func spareThreads() {
	var all sync.WaitGroup
	all.Add(spares)
	for range spares {
		panics.Go(func() error {
			runtime.LockOSThread() // so that each has one
			all.Done()
			all.Wait()
			return nil
		}, func(error) { runtime.UnlockOSThread() })
	}
	all.Wait()
}
