/* The victim: a service whose every request is an attempt to break out.
 *
 * It reads one line, "NAME ARG...", from fd 0, tries what NAME says, and
 * answers on fd 1 with notes ("note: ...") and one line "NAME ok" when the
 * attempt worked, or "NAME ERRNO-NAME" when something stopped it. A victim that
 * is killed answers nothing: that is an outcome too. Several attempts with ";"
 * between them are made one after another.
 *
 * The numbers in the comments are those of the escape table in the tests.
 */
#include "victim.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* The exit status of a victim whose attempt worked. */
enum { WORKED = 3 };

void note(const char *format, ...)
{
	va_list args;

	fputs("note: ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

int in_child(int (*try)(int, char **), int argc, char **argv)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(try(argc, argv) & 0xff);
	if (pid < 0)
		return errno;
	if (waitpid(pid, &status, 0) != pid)
		return errno;
	if (!WIFEXITED(status)) {
		note("child died of signal %d", WTERMSIG(status));
		return ECHILD;
	}
	return WEXITSTATUS(status);
}

static const struct attempt *const parts[] = {
	file_attempts, mount_attempts, process_attempts, memory_attempts,
	kernel_attempts, socket_attempts, client_attempts, state_attempts,
	abuse_attempts, again_attempts, log_attempts, random_attempts, private_attempts, ahead_attempts,
};

static const struct attempt *find(const char *name)
{
	const struct attempt *a;
	size_t i;

	for (i = 0; i < sizeof parts / sizeof *parts; i++)
		for (a = parts[i]; a->name; a++)
			if (strcmp(a->name, name) == 0)
				return a;
	return NULL;
}

/* A wait service takes its client itself. */
static void take_client(void)
{
	int on = 0, client;
	socklen_t n = sizeof on;

	if (getsockopt(0, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) || !on)
		return;
	client = accept(0, NULL, NULL);
	dup2(0, LISTENER);
	dup2(client, 0);
	dup2(client, 1);
	close(client);
}

/* Makes the attempt of one text and tells what came of it. */
static int attempt(char *text)
{
	char *argv[32], *word, *rest;
	const struct attempt *a;
	const char *name;
	int argc = 0, err;

	for (word = strtok_r(text, " \n", &rest); word && argc < 31; word = strtok_r(NULL, " \n", &rest))
		argv[argc++] = word;
	argv[argc] = NULL;
	a = argc ? find(argv[0]) : NULL;
	if (!a) {
		printf("%s unknown\n", argc ? argv[0] : "-");
		fflush(stdout);
		return -1;
	}
	err = a->run(argc, argv);
	name = err ? strerrorname_np(err) : "ok";
	signal(SIGPIPE, SIG_IGN);
	if (name)
		printf("%s %s\n", a->name, name);
	else
		printf("%s errno-%d\n", a->name, err);
	fflush(stdout);
	return err;
}

int main(int executed, char **with)
{
	static char line[1 << 16];
	char *text, *rest;
	int err = 0;
	size_t have = 0;
	ssize_t n;

	if (executed > 2) { /* by an attempt of again.c */
		printf("%s ok\n", with[2]);
		return WORKED;
	}
	take_client();
	while (have + 1 < sizeof line && !memchr(line, '\n', have)) {
		n = read(0, line + have, sizeof line - 1 - have);
		if (n <= 0)
			break;
		have += n;
	}
	for (text = strtok_r(line, ";", &rest); text && err >= 0; text = strtok_r(NULL, ";", &rest))
		err = attempt(text);
	/* An attempt that took the client's socket away cannot answer: the status tells. */
	return err < 0 ? 2 : err ? 0 : WORKED;
}
