// SPDX-License-Identifier: GPL-2.0-only
/*
 * The formats of strings in checks: what goes into an HTTP request must not be able to end a line of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/schema.h"

#define REASON(...) (snprintf(reason, LB_SCHEMA_REASON_MAX, __VA_ARGS__), -EINVAL)

static int copy(const struct lb_schema_key *key, const char *text, char *field, char *reason)
{
	size_t length = strlen(text);

	if (!length)
		return REASON("it is empty");
	if (length >= key->size)
		return REASON("it has %zu bytes", length);
	memset(field, 0, key->size);
	memcpy(field, text, length);
	return 0;
}

static bool print_text(const void *field, char *text, size_t size)
{
	snprintf(text, size, "%s", (const char *)field);
	return false;
}

/* Only printable ASCII without blanks. 0: it is. */
static int check_visible(const char *text, char *reason)
{
	for (const char *at = text; *at; at++) {
		if (*at <= ' ' || *at >= 0x7f)
			return REASON("byte %zu is 0x%02x", (size_t)(at - text) + 1, (unsigned char)*at);
	}
	return 0;
}

static int read_method(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		return -EINVAL;
	return copy(key, text, field, reason);
}

const struct lb_schema_format lb_format_method = {
	.accepted = "1 to 15 capital letters, like \"GET\"",
	.pattern = "^[A-Z]{1,15}$",
	.read = read_method,
	.print = print_text,
};

static int read_path(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	if (text[0] != '/')
		return REASON("it does not begin with '/'");
	if (check_visible(text, reason) < 0)
		return -EINVAL;
	return copy(key, text, field, reason);
}

const struct lb_schema_format lb_format_http_path = {
	.accepted = "a path of at most 191 printable characters that begins with '/'; others as %20",
	.pattern = "^/[!-~]{0,190}$",
	.read = read_path,
	.print = print_text,
};

static int read_host(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")])
		return -EINVAL;
	return copy(key, text, field, reason);
}

const struct lb_schema_format lb_format_host = {
	.accepted = "a name of 1 to 191 letters, digits, '.', '-' or '_'",
	.pattern = "^[A-Za-z0-9._-]{1,191}$",
	.read = read_host,
	.print = print_text,
};

static int read_file(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	if (text[0] && text[0] != '/')
		return REASON("it does not begin with '/'");
	return copy(key, text, field, reason);
}

const struct lb_schema_format lb_format_file = {
	.accepted = "an absolute path of at most 191 bytes",
	.pattern = "^/.{0,190}$",
	.read = read_file,
	.print = print_text,
};

static int read_text(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	return copy(key, text, field, reason);
}

const struct lb_schema_format lb_format_check_text = {
	.accepted = "a string of 1 to 191 bytes",
	.pattern = "^[\\s\\S]{1,191}$",
	.read = read_text,
	.print = print_text,
};

/* --- status; the field is two numbers --------------------------------------------------------------------
 */

static int read_status(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	__u16 *range = field;
	unsigned int first, last;
	int end = 0;

	if (strlen(text) != 7 || sscanf(text, "%3u-%3u%n", &first, &last, &end) != 2 || end != 7)
		return -EINVAL;
	if (first < 100 || last > 599 || first > last)
		return REASON("the range is empty, or not within 100-599");
	range[0] = (__u16)first;
	range[1] = (__u16)last;
	return 0;
}

static void read_one_status(__s64 number, void *field)
{
	__u16 *range = field;

	range[0] = range[1] = (__u16)number;
}

static bool print_status(const void *field, char *text, size_t size)
{
	const __u16 *range = field;

	text[0] = 0;
	if (range[0] && range[0] == range[1])
		snprintf(text, size, "%u", range[0]);
	else if (range[0])
		snprintf(text, size, "%u-%u", range[0], range[1]);
	return range[0] == range[1];
}

const struct lb_schema_format lb_format_status = {
	.accepted = "a whole number from 100 to 599, or a range like \"200-399\"",
	.pattern = "^[1-5][0-9]{2}-[1-5][0-9]{2}$",
	.read = read_status,
	.read_number = read_one_status,
	.print = print_status,
};

/* --- marks; the field is a value and a mask --------------------------------------------------------------
 */

/* Packets with the first are dropped by kube-proxy, those with the second get another source address. */
#define MARKS_OF_KUBE_PROXY 0xc000u

static int read_mark(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	struct lb_config_mark *mark = field;
	unsigned int value, mask;
	int end = 0;

	if (strncmp(text, "0x", 2) != 0 || strchr(text, ' ') ||
	    sscanf(text, "0x%8x/0x%8x%n", &value, &mask, &end) != 2 || text[end])
		return -EINVAL;
	if (!value)
		return REASON("0 is no mark");
	if (value & ~mask)
		return REASON("the mark has bits that the mask does not have");
	if (mask & MARKS_OF_KUBE_PROXY)
		return REASON("0x4000 and 0x8000 are kube-proxy's");
	*mark = (struct lb_config_mark){ value, mask };
	return 0;
}

static bool print_mark(const void *field, char *text, size_t size)
{
	const struct lb_config_mark *mark = field;

	text[0] = 0;
	if (mark->value)
		snprintf(text, size, "0x%x/0x%x", mark->value, mark->mask);
	return false;
}

const struct lb_schema_format lb_format_mark = {
	.accepted = "a mark and a mask like \"0x2000/0x2f00\"",
	.pattern = "^0x[0-9a-fA-F]{1,8}/0x[0-9a-fA-F]{1,8}$",
	.read = read_mark,
	.print = print_mark,
};
