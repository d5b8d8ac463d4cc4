/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one strict reader of what clients say: the body of a request that is a small object, and the
 * parameters of its query. What is not known, given twice or not JSON is an error that names the place.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

#include "lbd/api/http.h"

/*
 * Reads a body that is one JSON object (RFC 8259, strictly) with members out of keys (NULL-terminated), each
 * once. The caller frees *ret_body. -EINVAL with the place: a key, or line and column; -ENOMEM.
 */
int body_read(const char *text, size_t length, const char *const *keys, cJSON **ret_body,
	      struct lb_error *error);

/* Checks that the query has nothing but parameters out of names (separated by spaces), each once; one whose
 * name ends in '?' is on or off: api_flag(). */
int query_check(const struct http_request *request, const char *names, struct lb_error *error);
