/* The strings of a plan and of requests. */
#ifndef CASEMATE_TEXT_H
#define CASEMATE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Splits NUL-terminated strings into pointers; no more than max of them. */
static unsigned split(char *p, uint32_t len, char **out, unsigned max)
{
	unsigned n = 0;
	char *end = p + len;
	for (; p < end && n < max; p += strnlen(p, end - p) + 1)
		out[n++] = p;
	out[n] = NULL;
	return p >= end ? n : max + 1;
}

#endif
