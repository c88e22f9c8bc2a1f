/* A program whose processes talk by a loopback of their own: its child takes what its client sent to port 8000 of 127.0.0.1, where
 * it listens itself, and the client gets it from there. With argv[1] it asks port argv[1] instead, where it does not listen. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int at(int port, int (*how)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || how(s, (struct sockaddr *)&a, sizeof a) != 0) {
		printf("%s\n", strerror(errno));
		exit(1);
	}
	return s;
}

static void copy(int from, int to)
{
	char b[256];
	long n;
	while ((n = read(from, b, sizeof b)) > 0)
		if (write(to, b, n) != n)
			exit(1);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		copy(at(atoi(argv[1]), connect), 1);
		return 0;
	}
	int l = at(8000, bind);
	if (listen(l, 1) != 0)
		return 1;
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		copy(0, at(8000, connect));
		return 0;
	}
	int c = accept(l, NULL, NULL);
	copy(c, 1);
	int status = 1;
	waitpid(child, &status, 0);
	return status != 0;
}
