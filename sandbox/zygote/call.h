/* Raw system calls, and clone(2) onto a stack: the zygote's threads have no thread-local storage for a library's. */
#ifndef CASEMATE_CALL_H
#define CASEMATE_CALL_H

#include <sys/syscall.h>

#define STACK 16384

struct worker;

/* ---- system calls: the result, or the negative errno ---- */

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(ret) : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

#define CALL(n, a, b, c, d, e, f, ...) raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define call(...) CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Clones and runs fn(w), which never returns, on a stack of STACK bytes; clear is for CLONE_CHILD_CLEARTID. */
static long start(void (*fn)(struct worker *), struct worker *w, char *stack, unsigned long flags, int *clear)
{
	long ret, *sp = (long *)(stack + STACK);
	register long r10 __asm__("r10") = (long)clear, r8 __asm__("r8") = 0;
	*--sp = (long)w;
	*--sp = (long)fn;
	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tpop %%rax\n\tpop %%rdi\n\tcall *%%rax\n\tud2\n1:"
			 : "=a"(ret) : "0"(SYS_clone), "D"(flags), "S"(sp), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory", "cc");
	return ret;
}

#endif
