/* Attempts to connect, as many a second as asked for or as it can, by WINDOW sockets in turns, each with one of the
 * SOURCES addresses from the first one on: a connect that does not wait, and at the next turn its end, when what came
 * of it is counted.
 *
 * usage: flood ADDRESS PORT FIRST-SOURCE SOURCES RATE(0 is no pace) MILLISECONDS WINDOW
 * With the address "nowhere" the SYNs leave by an interface, in a network namespace of its own, that nobody reads:
 * what they cost their sender. It prints one line:
 *   attempts reset refused silent open ended failed, and nanoseconds of the clock and of the processor */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MOST_MS 60000
#define MOST_WINDOW 8192

/* What came of one: a reset, a closed port's answer, no answer, a connection that is open, and one that the server ended. */
enum outcome { RESET, REFUSED, SILENT, OPEN, ENDED, FAILED, OUTCOMES };

static long counts[OUTCOMES];

static long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Both ends of a network that leads nowhere. */
static int nowhere(struct sockaddr_in *to, struct sockaddr_in *from)
{
	struct ifreq r = { .ifr_name = "nowhere", .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct sockaddr_in mask = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffff00) };
	int tun, fd;

	if (unshare(CLONE_NEWNET) || (tun = open("/dev/net/tun", O_RDWR)) < 0 || ioctl(tun, TUNSETIFF, &r))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "192.0.2.1", &from->sin_addr);
	inet_pton(AF_INET, "192.0.2.2", &to->sin_addr);
	memcpy(&r.ifr_addr, from, sizeof *from);
	if (ioctl(fd, SIOCSIFADDR, &r))
		return -1;
	memcpy(&r.ifr_netmask, &mask, sizeof mask);
	if (ioctl(fd, SIOCSIFNETMASK, &r))
		return -1;
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &r) ? -1 : close(fd);
}

/* How an attempt went, as the kernel has it by now. The socket is ready for the next one: a connection that nobody
 * has ended is reset. */
static enum outcome finish(int fd)
{
	static const struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in peer;
	socklen_t len = sizeof(int);
	int err = 0;
	char byte;
	enum outcome out = OPEN;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		out = err == ECONNREFUSED ? REFUSED : RESET;
	else if (len = sizeof peer, getpeername(fd, (struct sockaddr *)&peer, &len))
		out = SILENT;
	else if (!recv(fd, &byte, 1, MSG_DONTWAIT))
		out = ENDED;
	connect(fd, &none, sizeof none);
	len = sizeof err;
	if (out == SILENT) /* its end is an error that the next one would find */
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return out;
}

/* A socket with an address of its own, and a port that each connect chooses. */
static int come(const struct sockaddr_in *from, long which)
{
	struct sockaddr_in source = *from;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	source.sin_addr.s_addr = htonl(ntohl(from->sin_addr.s_addr) + which);
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) ||
	    bind(fd, (struct sockaddr *)&source, sizeof source))
		return -1;
	return fd;
}

/* Sleeps where more was begun than the rate lets be by now. */
static void pace(long start, long done, long rate)
{
	long due = start + done * 1000000000L / rate, ahead = due - now(CLOCK_MONOTONIC);
	struct timespec t = { ahead / 1000000000L, ahead % 1000000000L };

	if (ahead > 0)
		nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	static int ring[MOST_WINDOW], begun[MOST_WINDOW];
	struct sockaddr_in to = { .sin_family = AF_INET }, from = { .sin_family = AF_INET };
	long n, sources, rate, ms, window, start, cpu, end;
	int lost = 0;

	if (argc != 8)
		return 1;
	sources = atol(argv[4]), rate = atol(argv[5]), ms = atol(argv[6]), window = atol(argv[7]);
	if (sources < 1 || ms < 1 || ms > MOST_MS || window < 1 || window > MOST_WINDOW)
		return 1;
	inet_pton(AF_INET, argv[3], &from.sin_addr);
	if (!strcmp(argv[1], "nowhere"))
		lost = sources = 1;
	else if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 1;
	if (lost && nowhere(&to, &from)) {
		perror("nowhere");
		return 1;
	}
	to.sin_port = htons(atoi(argv[2]));
	for (n = 0; n < window; n++)
		if ((ring[n] = come(&from, n % sources)) < 0) {
			perror("flood");
			return 1;
		}
	start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), end = start + ms * 1000000L;
	for (n = 0; n % 16 || now(CLOCK_MONOTONIC) < end; n++) {
		int fd = ring[n % window];

		if (rate && n % 16 == 0)
			pace(start, n, rate);
		if (n >= window && begun[n % window])
			counts[finish(fd)]++;
		begun[n % window] = !connect(fd, (struct sockaddr *)&to, sizeof to) || errno == EINPROGRESS;
		if (!begun[n % window])
			counts[FAILED]++;
	}
	end = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	for (long i = 0; i < window; i++)
		if (begun[i])
			counts[finish(ring[i])]++;
	printf("%ld %ld %ld %ld %ld %ld %ld %ld %ld\n", n, counts[RESET], counts[REFUSED], counts[SILENT], counts[OPEN], counts[ENDED], counts[FAILED],
	       end - start, cpu);
	return 0;
}
