package broker

import "time"

// After a second failed start of a zygote in a row the next one waits: 100 ms,
// doubled up to 10 s. Connections that come meanwhile are refused, not queued.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// The times between attempts to open a socket of a service with retry = true.
const (
	firstRetry = time.Second
	maxRetry   = time.Minute
)

// graceTime is how long a program has between SIGTERM and SIGKILL.
const graceTime = 2 * time.Second

// soonDead is the age under which a zygote's unexpected end counts as a failure to start.
const soonDead = time.Second

// checkEvery is the time between two looks at what the services in use were made
// from. One that is not in use is looked at when its zygote starts.
const checkEvery = 10 * time.Second

// backoffAfter is first, doubled for each failure after the first one, up to most.
func backoffAfter(failures int, first, most time.Duration) time.Duration {
	d := first
	for ; failures > 1 && d < most; failures-- {
		d *= 2
	}
	return min(d, most)
}
