/* The floor of a refusal: one process that has the kernel drop every SYN (silent), with a filter of one instruction, or
 * that accepts each connection and resets it (reset), and asks nobody whom.
 *
 * usage: refuser PORT silent|reset */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog all = { .len = 1, .filter = &none };
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger hard = { .l_onoff = 1 };
	int conn, on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3 || fd < 0)
		return 1;
	me.sin_port = htons(atoi(argv[1]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&me, sizeof me) || listen(fd, 4096))
		return 1;
	if (!strcmp(argv[2], "silent")) {
		if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all))
			return 1;
		pause();
	}
	while ((conn = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(conn, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		close(conn);
	}
	return 1;
}
