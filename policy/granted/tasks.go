package granted

// UserTasks adds up what each of a list may have of processes and threads (0 is no bound) for those that run
// as one user, which the kernel counts together (setrlimit(2), RLIMIT_NPROC): by what tasks says of each, without
// those for which it says nothing.
func UserTasks[S any, U comparable](list []S, tasks func(*S) (user U, n int64, counted bool)) map[U]int64 {
	sums := make(map[U]int64)
	for i := range list {
		u, n, counted := tasks(&list[i])
		if !counted {
			continue
		}
		if sum, more := sums[u]; n == 0 || more && sum == 0 {
			sums[u] = 0 // for good
		} else {
			sums[u] = sum + n
		}
	}
	return sums
}
