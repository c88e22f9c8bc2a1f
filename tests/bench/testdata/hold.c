/* A session that does nothing for as long as its client stays: it says a byte once it runs. */
#include <unistd.h>

int main(void)
{
	char c = '.';

	if (write(1, &c, 1) != 1)
		return 1;
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
