/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * JSON texts, strictly (RFC 8259): whether one is right, and where things are in it. For the configuration
 * and for the bodies of requests.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdio.h>

/* Objects and arrays within each other; the format needs 6. */
#define LB_JSON_DEPTH_MAX 32

/*
 * Checks text against RFC 8259, strictly, so that cJSON, which is not strict, only sees what it reads
 * right. 0, or -EINVAL with *ret_offset (bytes) and *ret_problem (static or in buffer).
 */
#define LB_JSON_PROBLEM_MAX 160
int lb_json_check(const char *text, size_t length, size_t *ret_offset, char problem[LB_JSON_PROBLEM_MAX]);

/* Offset of a node's value in a correct text, given the tree that was made from it. */
size_t lb_json_offset(const char *text, size_t length, const cJSON *root, const cJSON *node);

/* Line and column (characters), both from 1, of an offset. */
void lb_json_position(const char *text, size_t offset, size_t *ret_line, size_t *ret_column);

/* A value as JSON, cut to fit size. Returns the buffer. */
const char *lb_json_value(const cJSON *node, char *buffer, size_t size);

/* The same for a string. */
const char *lb_json_string(const char *text, char *buffer, size_t size);

/* Writes a string in quotes, escaped. */
void lb_json_quote(FILE *out, const char *text);
