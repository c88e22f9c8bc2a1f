/* The service of the benchmark: one line on the socket and out. Linked
 * statically, so that what is measured is the super-server and not ld.so. */
#include <unistd.h>

int main(void)
{
	static const char line[] = "casemate\n";

	return write(1, line, sizeof line - 1) == sizeof line - 1 ? 0 : 1;
}
