/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the configuration share: text -> JSON tree (config_json.c) -> structure by the schema
 * table (config_read.c) -> what must hold between keys (config_check.c). Internal to the library.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/schema.h"

/* --- config_json.c ---------------------------------------------------------------------------------------
 */

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

/* --- config_read.c ---------------------------------------------------------------------------------------
 */

/* A place in the tree: a chain of keys (or, where key is NULL, indices) up to the root, on the stack. */
struct lb_place {
	const struct lb_place *parent;
	const char *key;
	size_t index;
};

struct lb_reading {
	const cJSON *root;
	const cJSON *culprit; /* the node that the error is about */
	struct lb_error *error;
};

/* Records an error about a node (value NULL: the value is not shown) and returns -EINVAL. */
int lb_reading_fail(struct lb_reading *reading, const struct lb_place *place, const cJSON *node,
		    const cJSON *value, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Reads the tree into a zeroed configuration. 0, -EINVAL, -ENOMEM; the caller frees in any case. */
int lb_config_read(struct lb_reading *reading, struct lb_config *config);

/* --- config_check.c --------------------------------------------------------------------------------------
 */

/* Checks what must hold between the keys. 0, -EINVAL, -ENOMEM. */
int lb_config_check(struct lb_reading *reading, const struct lb_config *config);
