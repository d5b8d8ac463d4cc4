// SPDX-License-Identifier: GPL-2.0-only
/*
 * How lbctl says that something went wrong: a line on stderr for people, {"error":{...}} on stdout with -j.
 * Text that came from elsewhere is cleaned before it reaches a terminal.
 */
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "json.h"
#include "lbctl.h"

void lbctl_memory(void)
{
	fputs("lbctl: out of memory\n", stderr);
	exit(EXIT_FAILED);
}

static char *format_list(const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		lbctl_memory();
	return text;
}

char *lbctl_format(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_list(format, arguments);
	va_end(arguments);
	return text;
}

static cJSON *error_of(const char *text)
{
	cJSON *error = cJSON_CreateObject();

	if (!error || !cJSON_AddStringToObject(error, "message", text))
		lbctl_memory();
	return error;
}

cJSON *lbctl_error(const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = format_list(format, arguments);
	va_end(arguments);
	return error_of(text);
}

/* An error's key as clean text, or NULL when it says nothing. malloc'd. */
static char *place_text(const cJSON *error, const char *key)
{
	const cJSON *item = json_get(error, key);

	if (!item || (cJSON_IsString(item) && !*item->valuestring))
		return NULL;
	return cJSON_IsString(item) ? text_clean(item->valuestring) : json_line(item);
}

/* "  in FILE, at PATH: VALUE", as far as they exist and the message has not said them. */
static void print_place(const cJSON *error)
{
	_cleanup_(freep) char *file = place_text(error, "file"), *path = place_text(error, "path");
	_cleanup_(freep) char *value = place_text(error, "value");
	bool in = file && strncmp(json_text(error, "message"), file, strlen(file)) != 0;

	if (!in && !path && !value)
		return;
	fprintf(stderr, "  %s%s%s%s%s", in ? "in " : "", in ? file : "", in && path ? ", " : "",
		path ? "at " : "", path ? path : "");
	if (value)
		fprintf(stderr, "%s%s", in || path ? ": " : "", value);
	fputc('\n', stderr);
}

static void print_error(const struct lbctl *c, cJSON *error)
{
	_cleanup_(freep) char *text = NULL;

	if (c->json) {
		cJSON *root = cJSON_CreateObject();

		if (!root || !cJSON_AddItemToObject(root, "error", error))
			lbctl_memory();
		json_print(root);
		cJSON_Delete(root);
		return;
	}
	fflush(stdout);
	text = text_clean(json_text(error, "message"));
	fprintf(stderr, "lbctl: %s\n", text);
	print_place(error);
	cJSON_Delete(error);
}

int lbctl_fail_with(const struct lbctl *c, cJSON *error)
{
	print_error(c, error);
	return EXIT_FAILED;
}

int lbctl_fail(const struct lbctl *c, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = format_list(format, arguments);
	va_end(arguments);
	return lbctl_fail_with(c, error_of(text));
}

int lbctl_usage(const struct lbctl *c, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL, *usage = NULL;
	va_list arguments;
	cJSON *error;

	va_start(arguments, format);
	text = format_list(format, arguments);
	va_end(arguments);
	if (c->verb)
		usage = lbctl_format("lbctl %s%s%s", c->verb->name, *c->verb->arguments ? " " : "",
				     c->verb->arguments);
	error = error_of(text);
	if (c->json && usage)
		cJSON_AddStringToObject(error, "usage", usage);
	print_error(c, error);
	if (!c->json && usage)
		fprintf(stderr, "usage: %s\n", usage);
	else if (!c->json)
		fputs("usage: lbctl [-j] VERB ... (lbctl --help lists the verbs)\n", stderr);
	return EXIT_WRONG_USAGE;
}

void lbctl_warn(const char *format, ...)
{
	_cleanup_(freep) char *text = NULL, *clean = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = format_list(format, arguments);
	va_end(arguments);
	clean = text_clean(text);
	fflush(stdout);
	fprintf(stderr, "lbctl: %s\n", clean);
}

bool option_number(const struct lbctl *c, enum option_id id, unsigned long long least,
		   unsigned long long most, unsigned long long *ret)
{
	const char *text = c->option[id];
	unsigned long long n;

	if (!text)
		return true;
	/* 19 digits fit 64 bits. */
	n = strtoull(text, NULL, 10);
	if (!*text || strlen(text) > 19 || strspn(text, "0123456789") != strlen(text) || n < least ||
	    n > most) {
		lbctl_usage(c, "--%s takes a number from %llu to %llu, not '%s'", lbctl_options[id].name,
			    least, most, text);
		return false;
	}
	*ret = n;
	return true;
}

bool option_seconds(const struct lbctl *c, enum option_id id, double least, double *ret)
{
	const char *text = c->option[id];
	char *end;
	double s;

	if (!text)
		return true;
	s = strtod(text, &end);
	if (!*text || *end || strspn(text, "0123456789.") != strlen(text) || !isfinite(s) || s < least ||
	    s > 86400) {
		lbctl_usage(c, "--%s takes seconds, from %g to 86400, not '%s'", lbctl_options[id].name,
			    least, text);
		return false;
	}
	*ret = s;
	return true;
}

/* Waits so long; false at once when nobody reads what is printed any more (a pipe's reader, a terminal). */
static bool pause_ns(unsigned long long ns)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	struct timespec t = { .tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull) };

	return ppoll(&out, 1, &t, NULL) <= 0 || !(out.revents & (POLLERR | POLLHUP));
}

bool lbctl_pace(double interval_s, unsigned long long *next_ns)
{
	unsigned long long step = (unsigned long long)(interval_s * 1e9), now_ns;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ns = (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
	if (!*next_ns || *next_ns + step < now_ns)
		*next_ns = now_ns;
	*next_ns += step;
	while (now_ns < *next_ns) {
		if (!pause_ns(*next_ns - now_ns))
			return false;
		clock_gettime(CLOCK_MONOTONIC, &t);
		now_ns = (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
	}
	return true;
}
