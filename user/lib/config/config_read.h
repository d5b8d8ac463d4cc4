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
#include "config/config_json.h"
#include "config/schema.h"

/* --- config_shape.c --------------------------------------------------------------------------------------
 */

/*
 * A right JSON text up to the first place that the schema has nothing for, closed there: what the reader says
 * of it is what it would say of the whole. *ret_cut is the caller's; NULL: the whole text fits. 0 or -ENOMEM.
 */
int lb_config_shape(const char *text, size_t length, char **ret_cut, size_t *ret_length);

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

/* --- config_write.c --------------------------------------------------------------------------------------
 */

/* The value of a key that is neither object nor list, as JSON; base: the structure that has it. Secrets are
 * not shown, what is not given is null. Returns the buffer. */
#define LB_CONFIG_VALUE_MAX 1024
const char *lb_config_value(const struct lb_schema_key *key, const void *base,
			    char buffer[LB_CONFIG_VALUE_MAX]);

/* --- config_check.c --------------------------------------------------------------------------------------
 */

/* Checks what must hold between the keys. 0, -EINVAL, -ENOMEM. */
int lb_config_check(struct lb_reading *reading, const struct lb_config *config);

/* --- config_check_health.c -------------------------------------------------------------------------------
 */

/* Checks that can never work are errors. 0, -EINVAL. */
int lb_config_check_health(struct lb_reading *reading, const struct lb_config *config);

/* --- config_rings.c --------------------------------------------------------------------------------------
 */

/* Services that share a ring must agree in what it is made of. 0, -EINVAL, -ENOMEM. */
int lb_config_check_rings(struct lb_reading *reading, const struct lb_config *config);

/* --- config_check_ranges.c: the same of source ranges ----------------------------------------------------
 */

int lb_config_check_ranges(struct lb_reading *reading, const struct lb_config *config);

/* --- config_check_announce.c -----------------------------------------------------------------------------
 */

/* The same for what is announced. */
int lb_config_check_announce(struct lb_reading *reading, const struct lb_config *config);
