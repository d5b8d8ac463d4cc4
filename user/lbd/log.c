// SPDX-License-Identifier: GPL-2.0-only
/*
 * One line per message, in one write, so that lines never mix.
 */
#include "lbd/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool prefixed;
static bool with_debug;

void log_open(bool journal, bool debug)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat st;

	with_debug = debug;
	prefixed = journal;
	/* The variable is inherited by children whose stderr goes elsewhere: systemd.exec(5). */
	if (stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	    st.st_dev == device && st.st_ino == inode)
		prefixed = true;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[2048];
	int saved = errno, at = 0, n;
	va_list ap;

	if (level == LOG_LEVEL_DEBUG && !with_debug)
		return;
	if (prefixed)
		at = snprintf(line, sizeof(line), "<%d>", level);
	else
		at = snprintf(line, sizeof(line), "lbd: ");
	va_start(ap, format);
	errno = saved;
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	n = at + n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : at + n;
	for (int i = at; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[n] = '\n';
	if (write(STDERR_FILENO, line, n + 1) < 0) {
		/* Nobody is left to be told. */
	}
	errno = saved;
}
