/* A service that takes what its client's line asks for:
 * "eat N" touches N MiB, "fork N" makes N children, "spin N" runs for N ms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void eat(long mib)
{
	char *p = malloc(mib << 20);

	if (!p) {
		printf("no memory\n");
		return;
	}
	for (long i = 0; i < mib << 20; i += 4096)
		p[i] = 1;
	printf("ate %ld\n", mib + p[0] - 1);
}

static void forks(long n)
{
	long i;

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			pause();
			_exit(0);
		}
	}
	printf("forked %ld\n", i);
}

static void spin(long ms)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
	printf("spun %ld\n", (long)(clock() * 1000 / CLOCKS_PER_SEC));
}

int main(void)
{
	char line[64];
	long n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "eat %ld", &n) == 1)
			eat(n);
		else if (sscanf(line, "fork %ld", &n) == 1)
			forks(n);
		else if (sscanf(line, "spin %ld", &n) == 1)
			spin(n);
		else
			printf("hello\n");
	}
	return 0;
}
