// Package chaos throws everything at one casemated, from a seed, while good
// clients count what they lose: processes killed and stopped, loads of changing
// and broken policies, exhausted descriptors and pids, a full disk under the log,
// and clients of every bad kind. After the storm the broker must be what it was.
// `make chaos SEED=7 MINUTES=5` runs it for long; `make test` for half a minute.
package chaos
