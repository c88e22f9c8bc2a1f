/* The floor under every super-server: vfork, exec and wait, in a loop, of the
 * program named by the arguments, with its output thrown away.
 *
 *     vforkloop COUNT PROGRAM
 *
 * Reads one byte on fd 0 for each batch to run; answers each with one line:
 * the nanoseconds that COUNT starts took. Ends at end of file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	char *args[] = {argv[2], NULL}, *env[] = {NULL}, go;
	int null, count, i, status;
	long long start;
	pid_t pid;

	if (argc != 3 || (count = atoi(argv[1])) <= 0)
		return 2;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return 2;
	while (read(0, &go, 1) == 1) {
		start = now();
		for (i = 0; i < count; i++) {
			pid = vfork();
			if (pid == 0) {
				dup2(null, 0);
				dup2(null, 1);
				execve(args[0], args, env);
				_exit(127);
			}
			if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
				return 1;
		}
		printf("%lld\n", now() - start);
		fflush(stdout);
	}
	return 0;
}
