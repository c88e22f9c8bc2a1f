/* Opens a terminal, makes it the controlling one, and tells what it saw, a line each;
 * then it keeps everything open until its client hangs up. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static void list(const char *when)
{
	struct dirent **names;
	int n = scandir("/dev/pts", &names, NULL, alphasort);
	printf("%s", when);
	for (int i = 0; i < n; i++)
		if (names[i]->d_name[0] != '.')
			printf(" %s", names[i]->d_name);
	printf("%s\n", n < 0 ? strerror(errno) : "");
}

static const char *outcome(int r) { return r < 0 ? strerror(errno) : "done"; }

int main(void)
{
	char line[16] = "", c;
	struct stat st = {0};
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	setvbuf(stdout, NULL, _IOLBF, 0);
	list("before");
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
		printf("no terminal: %s\nend\n", strerror(errno));
		return 1;
	}
	char *name = ptsname(master);
	int slave = open(name, O_RDWR | O_NOCTTY);
	printf("name %s\nopen %s\n", name, outcome(slave));
	printf("stat %s\n", outcome(fstat(slave, &st)));
	printf("mine %d mode %o\n", st.st_uid == getuid(), st.st_mode & 0777);
	printf("control %s\n", outcome(ioctl(slave, TIOCSCTTY, 0)));
	printf("session %d\n", tcgetsid(slave) == getsid(0));
	printf("size %s\n", outcome(ioctl(master, TIOCSWINSZ, &size)));
	printf("typed %s\n", write(master, "abc\n", 4) == 4 && read(slave, line, sizeof line) == 4 ? line : "nothing\n");
	printf("inject %s\n", outcome(ioctl(slave, TIOCSTI, "x")));
	printf("make %s\n", outcome(open("/dev/pts/file", O_CREAT | O_WRONLY, 0600)));
	list("after");
	int count = 1;
	while (count < 100 && posix_openpt(O_RDWR | O_NOCTTY) >= 0)
		count++;
	printf("room %d\nend\n", count);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
