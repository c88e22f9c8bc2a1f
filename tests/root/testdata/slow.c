/* A program whose client may be slow, by way of argv[1]. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char b[64 << 10];

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	memset(b, 'x', sizeof b);
	if (strcmp(how, "flood") == 0) { /* writes for ever */
		while (write(1, b, sizeof b) > 0)
			;
	} else if (strcmp(how, "brief") == 0) { /* writes once and ends */
		return write(1, b, 40000) != 40000;
	} else if (strcmp(how, "compute") == 0) { /* answers after a long time */
		if (read(0, b, sizeof b) <= 0)
			return 1;
		sleep(atoi(argv[2]));
		return write(1, "done\n", 5) != 5;
	} else if (strcmp(how, "listen") == 0) { /* reads, and never answers */
		while (read(0, b, sizeof b) > 0)
			;
	} else if (strcmp(how, "echo") == 0) { /* answers each piece */
		for (ssize_t n; (n = read(0, b, sizeof b)) > 0;)
			if (write(1, b, n) != n)
				return 1;
	}
	return 0;
}
