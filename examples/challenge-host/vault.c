/*
 * A program with a hole in it, for strangers to attack: the name you type is
 * read into 64 bytes, however long it is. The flag is in /flag, which this
 * program may read; everything beyond it is casemate's to keep from you.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct visitor {
	char name[64];
	void (*greet)(const char *);
};

static void welcome(const char *name) { printf("Hello, %s. The vault stays shut.\n", name); }

__attribute__((used)) static void open_vault(const char *name)
{
	char flag[128] = "";
	FILE *f = fopen("/flag", "r");
	(void)name;
	if (f && fgets(flag, sizeof flag, f))
		printf("The vault is open: %s", flag);
}

static struct visitor visitor;

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("Who are you? (%p)\n", (void *)open_vault);
	visitor.greet = welcome;
	ssize_t n = read(0, visitor.name, 256); /* the hole */
	if (n <= 0)
		return 1;
	visitor.name[strcspn(visitor.name, "\r\n")] = '\0';
	visitor.greet(visitor.name);
	return 0;
}
