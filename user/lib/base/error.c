// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling struct lb_error. Texts are formatted aside and then copied, so that arguments may point into the
 * very structure that is filled (a file name put before an earlier text). What does not fit is cut at a
 * character and ends in "...".
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void copy_cut(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length < size) {
		memmove(to, from, length + 1);
		return;
	}
	length = size - sizeof("...");
	while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
		length--;
	memmove(to, from, length);
	memcpy(to + length, "...", sizeof("..."));
}

static void fill(struct lb_error *error, const char *path, const char *value, const char *format,
		 va_list arguments)
{
	/* One character more than the text holds, so that copy_cut sees that something is missing. */
	char text[sizeof(error->text) + 1];

	if (!error)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	copy_cut(error->path, sizeof(error->path), path ? path : "");
	copy_cut(error->value, sizeof(error->value), value ? value : "");
	copy_cut(error->text, sizeof(error->text), text);
}

int lb_error_set(struct lb_error *error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, NULL, NULL, format, arguments);
	va_end(arguments);
	return -code;
}

int lb_error_at(struct lb_error *error, int code, const char *path, const char *value, const char *format,
		...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, path, value, format, arguments);
	va_end(arguments);
	return -code;
}
