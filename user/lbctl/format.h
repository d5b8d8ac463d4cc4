/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers, times and foreign text for people. The functions return small structures by value, so that
 * format_count(n).text can be an argument of printf.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdio.h>

struct text {
	char text[48];
};

struct text format_count(double n);         /* 99999, 123K, 4.56M, 7.89G (powers of 1000) */
struct text format_bytes(double n);         /* 512 B, 1.50 KiB, 2.00 GiB */
struct text format_duration(double s);      /* 0.4 s, 45 s, 12 min 3 s, 3 h 12 min, 2 d 4 h */
struct text format_time(const cJSON *item); /* ISO 8601 in UTC or seconds since 1970, in local time; "-" */

/* Copies text with control characters and broken UTF-8 replaced, so that it cannot drive a terminal.
 * malloc'd. */
char *text_clean(const char *text);
/* Columns it takes: one per character. */
size_t text_width(const char *text);
