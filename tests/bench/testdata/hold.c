/* A session that lives as long as its client: it says that it is there, and reads until the client goes. */
#include <unistd.h>

int main(void)
{
	char buf[64];

	if (write(1, "+", 1) != 1)
		return 1;
	while (read(0, buf, sizeof buf) > 0)
		;
	return 0;
}
