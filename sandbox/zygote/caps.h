/* Capability sets, by system call. */
#ifndef CASEMATE_CAPS_H
#define CASEMATE_CAPS_H

#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "call.h"

static long set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{effective, permitted, inheritable}, {effective >> 32, permitted >> 32, inheritable >> 32}};
	return call(SYS_capset, &h, d);
}

/* All bits where the kernel would not tell: no set passes for empty. */
static uint64_t permitted_caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	return call(SYS_capget, &h, d) < 0 ? ~0ull : (uint64_t)d[1].permitted << 32 | d[0].permitted;
}

static void drop_bounding(uint64_t keep)
{
	for (unsigned c = 0; c < 64; c++) /* reading fails past the last capability of this kernel */
		if (call(SYS_prctl, PR_CAPBSET_READ, c) > 0 && !(keep >> c & 1))
			call(SYS_prctl, PR_CAPBSET_DROP, c); /* verified by the callers */
}

#endif
