// Package chaos throws everything at one casemated, from a seed, while good clients count what they lose: processes killed and
// stopped, its broker among them, loads of changing, narrowing and broken policies, bans and drains, exhausted descriptors and pids, a full
// disk under the log, floods, and clients of every bad kind.
//
// Each good client asks one thing after the other and waits for 40 s at most. It may lose what the row of a fault says: so many requests,
// which were made before the fault was over or so long after it (fault, ledger). Those of a kill are just the ones that were being
// served at that moment; a policy, a log, a signal, a stopped or killed helper and whatever strangers do cost nobody anything.
//
// In parts of its time, after the first and the last at least, the storm rests: the good clients are answered without one loss, and when
// the last session is over all that casemated has in the kernel is counted. It may not hold more than before the storm, nor more at the last
// rest than at the first one (bounds), nor answer more slowly (drifts); and the log has to add up (account).
// `make soak SEED=7 MINUTES=10` runs it for long; `make test` for half a minute.
package chaos
