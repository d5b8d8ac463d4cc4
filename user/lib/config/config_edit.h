/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes to the text of a configuration: a service or a backend is added, set or removed, and everything
 * else stays as somebody wrote it: order, blanks, keys. Says nothing about whether the result is a good
 * configuration: lb_config_parse() does.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum lb_edit_how {
	LB_EDIT_ADD,     /* -EEXIST when it is there */
	LB_EDIT_REPLACE, /* or add */
	LB_EDIT_MERGE,   /* only the given members change; null: back to the default. -ESRCH when it is not
			    there */
	LB_EDIT_DELETE,  /* -ESRCH when it is not there */
};

struct lb_config_edit {
	enum lb_edit_how how;
	const char *service;
	const char *backend;  /* NULL: the service itself */
	const cJSON *members; /* an object; "name" may be given if it is the same. Not for LB_EDIT_DELETE */
};

/*
 * text: a configuration that lb_config_parse() accepts. 0 and *ret_text (malloc'd, terminated) with
 * *ret_length; -ESRCH, -EEXIST as above; -EINVAL; -ENOMEM.
 */
int lb_config_edit(const char *text, size_t length, const struct lb_config_edit *edit, char **ret_text,
		   size_t *ret_length, struct lb_error *error);

/* The keys of a service, or of a backend; ends with NULL. */
#define LB_CONFIG_KEYS_MAX 32
void lb_config_keys(bool of_backend, const char *ret_keys[LB_CONFIG_KEYS_MAX + 1]);

/*
 * What somebody typed as the value of a key of a service (or of a backend) as JSON: 443 is a number for
 * "port" and a string for "server_id". Owned by the caller; NULL and *error: there is no such key, or its
 * value must be JSON and is not. Empty: null, which takes the key away.
 */
cJSON *lb_config_typed(bool of_backend, const char *key, const char *typed, struct lb_error *error);
