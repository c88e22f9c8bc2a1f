/* Stands in for `casemate compile --stdin`: what its broker must survive. The
 * test writes the way and the reply into this program's data. It has no C
 * library, whose start makes calls that a Go program, and so the compiler's
 * filter, does not.
 * gcc: -nostdlib -ffreestanding -fno-stack-protector -Wno-array-bounds
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A marker, the length and the text. */
static volatile struct { char mark[16]; uint32_t length; char text[64]; } way = {"IMPOSTOR-WAY:", 1, "?"};
static volatile struct { char mark[16]; uint32_t length; char text[1 << 18]; } reply = {"IMPOSTOR-REPLY:", 1, "?"};

static long call(long n, long a, long b, long c)
{
#ifdef __aarch64__
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 0;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
	return x0;
#else
	long ret;

	register long r10 __asm__("r10") = 0;
	__asm__ volatile("syscall" : "=a"(ret) : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return ret;
#endif
}

static _Noreturn void quit(int status)
{
	for (;;)
		call(SYS_exit_group, status, 0, 0);
}

static void put(const volatile char *text, size_t n)
{
	long done;

	for (; n > 0; text += done, n -= done)
		if ((done = call(SYS_write, 1, (long)text, n)) <= 0)
			quit(1);
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static void say(const char *s) { put(s, length(s)); }

static int is(const char *name)
{
	size_t i = 0;

	while (name[i] && name[i] == way.text[i])
		i++;
	return name[i] == way.text[i];
}

/* Tells through a diagnostic, the one way out, whether an attempt worked. */
static void report(long ret)
{
	say("{\"format_version\":2,\"diagnostics\":[{\"severity\":\"error\",\"code\":\"impostor\",\"summary\":\"");
	say(ret < 0 ? "the attempt failed" : "the attempt worked");
	say("\"}]}\n");
}

/* Works when a descriptor beside 0, 1 and 2 is there, or a path that does not
 * lead to the program itself. */
static long look(void)
{
	static const char *paths[] = {"/etc/passwd", "/etc/shadow", "/proc/self/status", "/tmp", "/usr", "/dev/mem"};
	unsigned i;
	int fd;

	for (fd = 3; fd < 4096; fd++)
		if (call(SYS_fcntl, fd, F_GETFD, 0) != -EBADF)
			return fd;
	for (i = 0; i < sizeof paths / sizeof *paths; i++)
		if (call(SYS_openat, AT_FDCWD, (long)paths[i], O_RDONLY) != -ENOENT)
			return i;
	return -1;
}

static void flood(void)
{
	static char block[1 << 20];
	unsigned i;

	for (i = 0; i < sizeof block; i++)
		block[i] = '[';
	for (i = 0; i < 100; i++)
		put(block, sizeof block);
}

static void rest(void)
{
	for (;;)
#ifdef SYS_pause
		call(SYS_pause, 0, 0, 0);
#else
		call(SYS_ppoll, 0, 0, 0);
#endif
}

void _start(void)
{
	static const char forged[] = "\n{\"level\":\"INFO\",\"msg\":\"decision\",\"service\":\"forged\"}\n";
	static char buf[65536];

	if (is("hang"))
		rest();
	if (!is("deaf"))
		while (call(SYS_read, 0, (long)buf, sizeof buf) > 0)
			;
	if (is("look"))
		report(look());
	else if (is("socket"))
		report(call(SYS_socket, AF_INET, SOCK_STREAM, 0));
	else if (is("connect"))
		report(call(SYS_connect, 0, (long)buf, 16));
	else if (is("write"))
		report(call(SYS_openat, AT_FDCWD, (long)"/f", O_WRONLY | O_CREAT));
	else if (is("fork"))
		report(call(SYS_clone, SIGCHLD, 0, 0));
	else if (is("exec"))
		report(call(SYS_execve, (long)"/proc/self/exe", 0, 0));
	else if (is("stderr"))
		report(call(SYS_write, 2, (long)forged, sizeof forged - 1));
	else if (is("flood"))
		flood();
	else
		put(reply.text, reply.length);
	if (is("stay")) {
		call(SYS_close, 0, 0, 0);
		call(SYS_close, 1, 0, 0);
		rest();
	}
	if (is("segv"))
		*(volatile int *)8 = 0;
	quit(is("exit-2") ? 2 : 0);
}
