// SPDX-License-Identifier: GPL-2.0-only
/* Units for people, and text made harmless for a terminal. Relies on nothing but the C library. */
#include "format.h"

#include <string.h>
#include <time.h>

#include "lbctl.h"

static struct text format_scaled(double n, double base, const char *const *units)
{
	struct text t;

	for (; n >= base * 0.9995 && units[1]; units++)
		n /= base;
	/* Three digits that count. */
	snprintf(t.text, sizeof(t.text), "%.*f%s", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, units[0]);
	return t;
}

struct text format_count(double n)
{
	static const char *const units[] = { "", "K", "M", "G", "T", "P", "E", NULL };
	struct text t;

	if (n >= 100000)
		return format_scaled(n, 1000, units);
	snprintf(t.text, sizeof(t.text), "%.0f", n);
	return t;
}

struct text format_bytes(double n)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB", NULL };
	struct text t;

	if (n >= 1024)
		return format_scaled(n, 1024, units);
	snprintf(t.text, sizeof(t.text), "%.0f B", n);
	return t;
}

struct text format_duration(double s)
{
	unsigned long long n = s < 0 ? 0 : s < 1e15 ? (unsigned long long)s : 1000000000000000ull;
	struct text t;

	if (n < 10 && s - (double)n > 0.05)
		snprintf(t.text, sizeof(t.text), "%.1f s", s);
	else if (n < 60)
		snprintf(t.text, sizeof(t.text), "%llu s", n);
	else if (n < 3600)
		snprintf(t.text, sizeof(t.text), "%llu min %llu s", n / 60, n % 60);
	else if (n < 86400)
		snprintf(t.text, sizeof(t.text), "%llu h %llu min", n / 3600, n / 60 % 60);
	else
		snprintf(t.text, sizeof(t.text), "%llu d %llu h", n / 86400, n / 3600 % 24);
	return t;
}

/* The agent's form of time: 2026-01-31T12:34:56.789Z. */
static bool parse_time(const char *text, time_t *ret)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || !strchr(end, 'Z') || strspn(end, ".0123456789Z") != strlen(end))
		return false;
	*ret = timegm(&tm);
	return true;
}

struct text format_time(const cJSON *item)
{
	struct text t = { "-" };
	struct tm tm;
	time_t time = 0;

	if (cJSON_IsString(item) && !parse_time(item->valuestring, &time)) {
		_cleanup_(freep) char *clean = text_clean(item->valuestring);

		snprintf(t.text, sizeof(t.text), "%s", clean);
		return t;
	}
	if (cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 1e11)
		time = (time_t)item->valuedouble;
	if (time && localtime_r(&time, &tm))
		strftime(t.text, sizeof(t.text), "%Y-%m-%d %H:%M:%S", &tm);
	return t;
}

/* Bytes of the character at text when it is whole and printable, else 0. */
static size_t character(const unsigned char *text)
{
	size_t n = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if (n == 1)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] > 0xf4 || (text[0] == 0xc2 && text[1] < 0xa0))
		return 0; /* beyond Unicode; control characters of the second kind */
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

char *text_clean(const char *text)
{
	char *clean = strdup(text);

	if (!clean)
		lbctl_memory();
	for (unsigned char *p = (unsigned char *)clean; *p;) {
		size_t n = character(p);

		if (n == 0) {
			*p = '?';
			n = 1;
		}
		p += n;
	}
	return clean;
}

size_t text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}
