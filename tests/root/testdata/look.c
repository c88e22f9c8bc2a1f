/* A program of a root tree of its own, linked dynamically there: each line of its
 * client is a path, and the answer what is in the file, or the error's name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	char path[4096], text[4096];
	ssize_t n;
	int fd;

	setvbuf(stdout, NULL, _IONBF, 0);
	while (fgets(path, sizeof path, stdin)) {
		path[strcspn(path, "\n")] = 0;
		fd = path[0] == '+' ? open(path + 1, O_WRONLY | O_CREAT | O_TRUNC, 0644) : open(path, O_RDONLY);
		if (fd < 0) {
			printf("%s\n", errno == ENOENT ? "ENOENT" : errno == EROFS ? "EROFS" : errno == EACCES ? "EACCES" : strerror(errno));
			continue;
		}
		if (path[0] == '+') {
			n = write(fd, "written\n", 8);
			printf("%s\n", n == 8 ? "ok" : strerror(errno));
		} else if ((n = read(fd, text, sizeof text - 1)) < 0) {
			printf("%s\n", strerror(errno));
		} else {
			text[n] = 0;
			text[strcspn(text, "\n")] = 0;
			printf("%s\n", text);
		}
		close(fd);
	}
	return 0;
}
