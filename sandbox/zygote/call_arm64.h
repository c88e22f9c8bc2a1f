/* call.h on arm64. */

#define AUDIT_HERE AUDIT_ARCH_AARCH64

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
	return x0;
}

static long start(void (*fn)(struct worker *), struct worker *w, char *stack, unsigned long flags, int32_t *tid)
{
	long *sp = (long *)(stack + STACK);
	*--sp = (long)w;
	*--sp = (long)fn;
	register long x8 __asm__("x8") = SYS_clone, x0 __asm__("x0") = flags, x1 __asm__("x1") = (long)sp, x2 __asm__("x2") = (long)tid;
	register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 0;
	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tldp x1, x0, [sp], #16\n\tblr x1\n\tbrk #1\n1:"
			 : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
	return x0;
}

__asm__(".pushsection .text.gate, \"ax\", @progbits\n\t.balign 4096\ngate_page:\n\t"
	"mov w8, w5\n\tsvc #0\n\tret\n\t.balign 4096\n\t.popsection");

static __attribute__((unused)) long start_init(unsigned long flags, long pipe, struct init_memory *memory, long tied)
{
	register long x8 __asm__("x8") = SYS_clone, x0 __asm__("x0") = flags, x1 __asm__("x1") = 0, x2 __asm__("x2") = 0, x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0, x19 __asm__("x19") = pipe, x21 __asm__("x21") = tied;
	register struct init_memory *x20 __asm__("x20") = memory;
	__asm__ volatile(
		"svc #0\n\tcbnz x0, 5f\n\t" /* the parent goes on at 5 */
		"cbz x21, 4f\n\t"
		"mov x8, %[prctl]\n\tmov x0, %[pdeathsig]\n\tmov x1, #9\n\tsvc #0\n" /* SIGKILL */
		"4:\tmov x8, %[dup3]\n\tmov x0, x19\n\tmov x1, xzr\n\tmov x2, xzr\n\tsvc #0\n\t"
		"mov x8, %[close_range]\n\tmov x0, #1\n\tmov w1, #-1\n\tmov x2, xzr\n\tsvc #0\n\t"
		"mov x8, %[capset]\n\tmov x0, x20\n\tadd x1, x20, #8\n\tsvc #0\n\t"
		"mov x3, xzr\n\tmov x4, xzr\n"
		"1:\tmov x8, %[ppoll]\n\tadd x0, x20, #32\n\tmov x1, #1\n\tmov x2, xzr\n\tsvc #0\n\t"
		"cmn w0, #4\n\tb.eq 1b\n\t" /* EINTR: stopped and continued */
		"mov x8, %[close]\n\tmov x0, xzr\n\tsvc #0\n\t"
		"mov x8, %[pidfd_open]\n\tmov x0, #2\n\tmov x1, xzr\n\tsvc #0\n\t"
		"cbnz w0, 3f\n" /* not 0: there is none, or no longer */
		"2:\tmov x8, %[ppoll]\n\tadd x0, x20, #32\n\tmov x1, #1\n\tmov x2, xzr\n\tsvc #0\n\t"
		"cmn w0, #4\n\tb.eq 2b\n"
		"3:\tmov x8, %[exit_group]\n\tmov x0, xzr\n\tsvc #0\n\tb 3b\n"
		"5:"
		: "+r"(x0)
		: "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x19), "r"(x20), "r"(x21), [dup3] "i"(SYS_dup3), [prctl] "i"(SYS_prctl), [pdeathsig] "i"(PR_SET_PDEATHSIG),
		  [close_range] "i"(SYS_close_range), [capset] "i"(SYS_capset), [close] "i"(SYS_close),
		  [pidfd_open] "i"(SYS_pidfd_open), [ppoll] "i"(SYS_ppoll), [exit_group] "i"(SYS_exit_group)
		: "memory", "cc");
	return x0;
}

/* ppoll(2) writes what is left of its time. */
static __attribute__((unused)) long poll_now(struct pollfd *p)
{
	int64_t none[2] = {0, 0};
	return call(SYS_ppoll, p, 1, none, 0, 0);
}
