/* #86: a second exec, by whatever the launch's own may be reached with. */
#include "victim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Where the launch keeps the path that it executes. */
#define PAGE ((char *)0x100000)

/* again-NAME PATH [FD]: a victim that is executed so says that it worked. */
static int execute(int c, char **v, const char *path)
{
	char *args[] = {"victim", "-executed", v[0], NULL}, *env[] = {NULL};

	if (c > 2)
		syscall(SYS_execveat, atoi(v[2]), path, args, env, AT_EMPTY_PATH);
	else
		syscall(SYS_execve, path, args, env);
	return errno;
}
static int again(int c, char **v) { return execute(c, v, v[1]); }

static int at_page(int c, char **v, void *page)
{
	if (page == MAP_FAILED)
		return errno;
	if (page != PAGE)
		return EXDEV;
	return execute(c, v, strcpy(page, v[1]));
}
static void *map(void *at, size_t size, int flags)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}
static int again_fixed(int c, char **v) { return at_page(c, v, map(PAGE, 4096, MAP_FIXED)); }
static int again_hint(int c, char **v) { return at_page(c, v, map(PAGE, 4096, 0)); }
static int again_over(int c, char **v)
{
	char *p = map(PAGE - 4096, 8192, MAP_FIXED);

	return at_page(c, v, p == MAP_FAILED ? p : p + 4096);
}
static int again_moved(int c, char **v)
{
	void *p = map(NULL, 4096, 0);

	return p == MAP_FAILED ? errno : at_page(c, v, (void *)syscall(SYS_mremap, p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, PAGE));
}
static int again_kept(int c, char **v)
{
	void *p = map(NULL, 4096, 0);

	return p == MAP_FAILED ? errno : at_page(c, v, (void *)syscall(SYS_mremap, p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, PAGE));
}
/* Nothing is there any more: outside of a sandbox there never was. */
static int again_left(int c, char **v) { return execute(c, v, PAGE); }
/* Take all there is until the kernel gives that page: most of the address space first. */
static int again_crowded(int c, char **v)
{
	size_t size;
	char *p;
	int err = ENOMEM;

	for (size = 1ul << 46; size >= 4096; size /= 2)
		while ((p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED)
			if (p <= PAGE && p + size > PAGE)
				return mprotect(PAGE, 4096, PROT_READ | PROT_WRITE) ? errno : at_page(c, v, PAGE);
	return err;
}

const struct attempt again_attempts[] = {
	{"again", again}, {"again-fixed", again_fixed}, {"again-hint", again_hint}, {"again-over", again_over},
	{"again-moved", again_moved}, {"again-kept", again_kept}, {"again-left", again_left}, {"again-crowded", again_crowded}, {NULL, NULL},
};
