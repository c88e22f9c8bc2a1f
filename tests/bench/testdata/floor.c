/* The floor under every super-server, at work: accept, vfork, exec of a program as somebody else with the connection as 0
 * and 1, and reap. No limit, no log, and no second client while one is being started.
 *
 *     floor PORT PROGRAM UID GID
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(int fd, char **args, uid_t uid, gid_t gid)
{
	char *env[] = {NULL};

	if (vfork() != 0)
		return;
	/* The calls themselves: what libc keeps of its ids is the parent's too. */
	if (dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && !syscall(SYS_setgroups, 0, NULL) &&
	    !syscall(SYS_setresgid, gid, gid, gid) && !syscall(SYS_setresuid, uid, uid, uid))
		execve(args[0], args, env);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *args[] = {argv[2], NULL};

	if (argc != 5 || listener < 0)
		return 2;
	me.sin_port = htons(atoi(argv[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&me, sizeof me) || listen(listener, 4096))
		return 1;
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			start(fd, args, atoi(argv[3]), atoi(argv[4]));
			close(fd);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
