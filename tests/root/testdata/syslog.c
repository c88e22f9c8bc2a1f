/* Says the line it reads to syslog(3), with and without openlog(3); or, of a line
 * "N TEXT", N messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

int main(void)
{
	char line[200] = "", *rest;

	if (!fgets(line, sizeof line, stdin))
		return 1;
	line[strcspn(line, "\n")] = 0;
	for (long n = strtol(line, &rest, 10), i = 0; i < n; i++)
		syslog(LOG_INFO, "%s %ld", rest, i);
	openlog("teller", LOG_PID, LOG_AUTH);
	syslog(LOG_CRIT, "%s in C", line);
	closelog();
	syslog(LOG_LOCAL3 | LOG_DEBUG, "%s\n\033{\"service\":\"x\"}", line);
	puts("ok");
	return 0;
}
