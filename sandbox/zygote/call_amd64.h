/* call.h on x86-64. */

#define AUDIT_HERE AUDIT_ARCH_X86_64

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(ret) : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

static long start(void (*fn)(struct worker *), struct worker *w, char *stack, unsigned long flags, int32_t *tid)
{
	long ret, *sp = (long *)(stack + STACK);
	register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0;
	*--sp = (long)w;
	*--sp = (long)fn;
	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tpop %%rax\n\tpop %%rdi\n\tcall *%%rax\n\tud2\n1:"
			 : "=a"(ret) : "0"(SYS_clone), "D"(flags), "S"(sp), "d"(tid), "r"(r10), "r"(r8) : "rcx", "r11", "memory", "cc");
	return ret;
}

__asm__(".pushsection .text.gate, \"ax\", @progbits\n\t.balign 4096\ngate_page:\n\t"
	"mov %rcx, %r10\n\tmov %r9d, %eax\n\tsyscall\n\tret\n\t.balign 4096\n\t.popsection");

static __attribute__((unused)) long start_init(unsigned long flags, long pipe, struct init_memory *memory, long tied)
{
	long ret;
	register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0, r12 __asm__("r12") = pipe;
	register struct init_memory *r13 __asm__("r13") = memory;
	register long r14 __asm__("r14") = tied;
	__asm__ volatile(
		"syscall\n\ttest %%rax, %%rax\n\tjnz 5f\n\t" /* the parent goes on at 5 */
		"test %%r14, %%r14\n\tjz 4f\n\t"
		"mov %[prctl], %%eax\n\tmov %[pdeathsig], %%edi\n\tmov $9, %%esi\n\tsyscall\n" /* SIGKILL */
		"4:\tmov %[dup3], %%eax\n\tmov %%r12, %%rdi\n\txor %%esi, %%esi\n\txor %%edx, %%edx\n\tsyscall\n\t"
		"mov %[close_range], %%eax\n\tmov $1, %%edi\n\tmov $-1, %%esi\n\txor %%edx, %%edx\n\tsyscall\n\t"
		"mov %[capset], %%eax\n\tmov %%r13, %%rdi\n\tlea 8(%%r13), %%rsi\n\tsyscall\n\t"
		"xor %%r10d, %%r10d\n\txor %%r8d, %%r8d\n"
		"1:\tmov %[ppoll], %%eax\n\tlea 32(%%r13), %%rdi\n\tmov $1, %%esi\n\txor %%edx, %%edx\n\tsyscall\n\t"
		"cmp $-4, %%eax\n\tje 1b\n\t" /* EINTR: stopped and continued */
		"mov %[close], %%eax\n\txor %%edi, %%edi\n\tsyscall\n\t"
		"mov %[pidfd_open], %%eax\n\tmov $2, %%edi\n\txor %%esi, %%esi\n\tsyscall\n\t"
		"test %%eax, %%eax\n\tjnz 3f\n" /* not 0: there is none, or no longer */
		"2:\tmov %[ppoll], %%eax\n\tlea 32(%%r13), %%rdi\n\tmov $1, %%esi\n\txor %%edx, %%edx\n\tsyscall\n\t"
		"cmp $-4, %%eax\n\tje 2b\n"
		"3:\tmov %[exit_group], %%eax\n\txor %%edi, %%edi\n\tsyscall\n\tjmp 3b\n"
		"5:"
		: "=a"(ret)
		: "0"(SYS_clone), "D"(flags), "S"(0), "d"(0), "r"(r10), "r"(r8), "r"(r12), "r"(r13), "r"(r14), [dup3] "i"(SYS_dup3), [prctl] "i"(SYS_prctl), [pdeathsig] "i"(PR_SET_PDEATHSIG),
		  [close_range] "i"(SYS_close_range), [capset] "i"(SYS_capset), [close] "i"(SYS_close),
		  [pidfd_open] "i"(SYS_pidfd_open), [ppoll] "i"(SYS_ppoll), [exit_group] "i"(SYS_exit_group)
		: "rcx", "r11", "memory", "cc");
	return ret;
}

static __attribute__((unused)) long poll_now(struct pollfd *p) { return call(SYS_poll, p, 1, 0); }
