/* #86: a second exec, by whatever the launch's own may be reached with.
 *
 * Linked so, it leaves the addresses below 4 GiB free:
 * gcc: -fPIE -static-pie
 */
#include "victim.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Where the launch has the code that it executes from: this, a function of a system call's arguments, its number last. */
#ifdef __aarch64__
#define PAGE ((char *)0x8000)
#define GATE "mov w8, w5\n\tsvc #0\n\tret"
#else
#define PAGE ((char *)0x100000)
#define GATE "mov %rcx, %r10\n\tmov %r9d, %eax\n\tsyscall\n\tret"
#endif
__asm__(".pushsection .text.gate, \"ax\", @progbits\n\t.balign 4096\ngate:\n\t" GATE "\n\t.balign 4096\n\t.popsection");
typedef long syscall_from(long, long, long, long, long, long);
extern syscall_from gate;

/* again-NAME PATH [FD]: a victim that is executed so says that it worked. */
static int execute(int c, char **v, const char *path, syscall_from *from)
{
	char *args[] = {"victim", "-executed", v[0], NULL}, *env[] = {NULL};

	if (c > 2)
		return -from(atoi(v[2]), (long)path, (long)args, (long)env, AT_EMPTY_PATH, SYS_execveat);
	return -from((long)path, (long)args, (long)env, 0, 0, SYS_execve);
}
static int again(int c, char **v) { return execute(c, v, v[1], gate); }

/* With the path in that page: what is there decides nothing. */
static int at_page(int c, char **v, void *page)
{
	if (page == MAP_FAILED)
		return errno;
	if (page != PAGE)
		return EXDEV;
	return execute(c, v, strcpy(page, v[1]), gate);
}
static void *map(void *at, size_t size, int flags)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}
static void *moved(void *from, int flags, void *to) { return (void *)syscall(SYS_mremap, from, 4096, 4096, MREMAP_MAYMOVE | flags, to); }

static int again_fixed(int c, char **v) { return at_page(c, v, map(PAGE, 4096, MAP_FIXED)); }
static int again_hint(int c, char **v) { return at_page(c, v, map(PAGE, 4096, 0)); }
/* With a tag in the top byte, which the kernel of arm64 leaves aside in many a pointer. */
static int again_tagged(int c, char **v) { return at_page(c, v, map((char *)((uintptr_t)PAGE | 0x5aul << 56), 4096, MAP_FIXED)); }
static int again_over(int c, char **v)
{
	char *p = map(PAGE - 4096, 8192, MAP_FIXED);

	return at_page(c, v, p == MAP_FAILED ? p : p + 4096);
}
static int again_moved(int c, char **v)
{
	void *p = map(NULL, 4096, 0);

	return p == MAP_FAILED ? errno : at_page(c, v, moved(p, MREMAP_FIXED, PAGE));
}
static int again_kept(int c, char **v)
{
	void *p = map(NULL, 4096, 0);

	return p == MAP_FAILED ? errno : at_page(c, v, moved(p, MREMAP_DONTUNMAP, PAGE));
}
/* Nothing is there any more: outside of a sandbox there never was. */
static int again_left(int c, char **v) { return execute(c, v, v[1], (syscall_from *)PAGE); }
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

/* What grows down grows to any address: touched far below, and cut off above again. */
static void *down_to_page(char *p)
{
	char *low;

	for (; p != MAP_FAILED && p > PAGE; p = low) {
		low = p - PAGE > 7 << 20 ? p - (7 << 20) : PAGE;
		*(volatile char *)low = 1;
		munmap(low + 4096, p - low);
	}
	return p;
}
#ifdef MAP_32BIT
static void *grown(void) { return down_to_page(map(NULL, 4096, MAP_GROWSDOWN | MAP_32BIT)); }
#else
static void *grown(void) { return down_to_page(map((void *)(1ul << 32), 4096, MAP_GROWSDOWN)); }
#endif
static void *stack(void)
{
	char here, *low = (char *)((uintptr_t)&here & -4096ul) - (1 << 20);

	*(volatile char *)low = 1;
	return down_to_page(moved(low, MREMAP_FIXED, (void *)(1ul << 32)));
}
static int again_grown(int c, char **v) { return at_page(c, v, grown()); }
static int again_stack(int c, char **v) { return at_page(c, v, stack()); }

/* The same with code in that page: the victim's own, of its file, or written there. */
static int at_gate(int c, char **v, void *page)
{
	if (page == MAP_FAILED)
		return errno;
	if (page != PAGE)
		return EXDEV;
	return execute(c, v, v[1], (syscall_from *)page);
}
static void *map_code(const char *path, void *at, int flags)
{
	extern const Elf64_Ehdr __ehdr_start;
	const Elf64_Phdr *p = (void *)((char *)&__ehdr_start + __ehdr_start.e_phoff);
	size_t offset = (char *)gate - (char *)&__ehdr_start; /* as an address of the file's */
	int fd = open(path, O_RDONLY);

	while (p->p_type != PT_LOAD || offset < p->p_vaddr || offset >= p->p_vaddr + p->p_memsz)
		p++;
	return mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | flags, fd, p->p_offset + offset - p->p_vaddr);
}
static int gate_elsewhere(int c, char **v)
{
	void *p = map_code(v[1], NULL, 0);

	return p == MAP_FAILED ? ENOTSUP : execute(c, v, v[1], p);
}
static int gate_fixed(int c, char **v) { return at_gate(c, v, map_code(v[1], PAGE, MAP_FIXED)); }
static int gate_hint(int c, char **v) { return at_gate(c, v, map_code(v[1], PAGE, 0)); }
static int gate_moved(int c, char **v)
{
	void *p = map_code(v[1], NULL, 0);

	return p == MAP_FAILED ? ENOTSUP : at_gate(c, v, moved(p, MREMAP_FIXED, PAGE));
}
static int written(int c, char **v, void *page)
{
	if (page == PAGE && mprotect(memcpy(page, gate, 64), 4096, PROT_READ | PROT_EXEC))
		return errno;
	return at_gate(c, v, page);
}
static int gate_written(int c, char **v) { return written(c, v, map(PAGE, 4096, MAP_FIXED)); }
static int gate_grown(int c, char **v) { return written(c, v, grown()); }
static int gate_stack(int c, char **v) { return written(c, v, stack()); }
/* Code on the stack where it is: from there it could grow. */
static int gate_on_stack(int c, char **v)
{
	char page[8192], *p = (char *)(((uintptr_t)page + 4095) & -4096ul);

	if (mprotect(memcpy(p, gate, 64), 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
		return errno;
	return execute(c, v, v[1], (syscall_from *)p);
}

const struct attempt again_attempts[] = {
	{"again", again}, {"again-fixed", again_fixed}, {"again-hint", again_hint}, {"again-over", again_over}, {"again-tagged", again_tagged},
	{"again-moved", again_moved}, {"again-kept", again_kept}, {"again-left", again_left}, {"again-crowded", again_crowded},
	{"again-grown", again_grown}, {"again-stack", again_stack}, {"gate-elsewhere", gate_elsewhere}, {"gate-fixed", gate_fixed},
	{"gate-hint", gate_hint}, {"gate-moved", gate_moved}, {"gate-written", gate_written}, {"gate-grown", gate_grown},
	{"gate-stack", gate_stack}, {"gate-on-stack", gate_on_stack}, {NULL, NULL},
};
