/* A daemon that logs somebody in as ftpd does: as root it changes its root directory and
 * becomes uid 65534, tells so, and tries to get back. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	gid_t none;
	if (geteuid() != 0)
		return puts("not root"), 1;
	if (chroot("/usr") || chdir("/"))
		return printf("chroot: %s\n", strerror(errno)), 1;
	if (setgroups(0, &none) || setgid(65534) || setuid(65534))
		return printf("set: %s\n", strerror(errno)), 1;
	printf("became %d %d", (int)getuid(), (int)getgid());
	printf(", back %s\n", setuid(0) ? strerror(errno) : "to root");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
