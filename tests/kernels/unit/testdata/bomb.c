/* A service that takes all it can get of what its first argument names, and
 * tells its client how much that was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Memory, touched, until somebody ends it. */
static void memory(void)
{
	size_t piece = 1 << 20;

	for (size_t n = 0; n < 1024; n++) {
		char *p = malloc(piece);

		if (!p) {
			printf("malloc failed after %zu MiB\n", n);
			return;
		}
		memset(p, 1, piece);
	}
	printf("1 GiB\n");
}

/* Processes, until fork fails; they live as long as the client's socket. */
static void forks(void)
{
	char buf[16];

	for (int n = 0;; n++) {
		pid_t pid = n < 500 ? fork() : -1;

		if (pid == 0)
			break;
		if (pid < 0) {
			printf("%d forks\n", n);
			fflush(stdout);
			break;
		}
	}
	while (read(0, buf, sizeof buf) > 0)
		;
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The processor, for five seconds. */
static void spin(void)
{
	double end = seconds(CLOCK_MONOTONIC) + 5;

	while (seconds(CLOCK_MONOTONIC) < end)
		;
	printf("%.0f percent\n", seconds(CLOCK_PROCESS_CPUTIME_ID) / 5 * 100);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	if (strcmp(argv[1], "memory") == 0)
		memory();
	else if (strcmp(argv[1], "forks") == 0)
		forks();
	else if (strcmp(argv[1], "spin") == 0)
		spin();
	else
		return 1;
	return 0;
}
