/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How library code says what went wrong: a negative errno as the return value, and the place, the value
 * and what would be right in a struct lb_error. The caller owns the structure; it holds no pointers.
 */
#pragma once

#include <stdarg.h>

struct lb_error {
	char text[512];  /* one sentence: what is wrong and what would be accepted */
	char path[256];  /* JSON path of the place, like services[3].backends[0].weight; may be empty */
	char value[128]; /* the offending value as JSON or text, cut to fit; may be empty */
};

/* Fills *error (which may be NULL) with a text alone and returns -code. code: positive errno. */
int lb_error_set(struct lb_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with a JSON path and value; either may be NULL. */
int lb_error_at(struct lb_error *error, int code, const char *path, const char *value, const char *format,
		...) __attribute__((format(printf, 5, 6)));
