/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bad configurations as a table: each is parsed and must give exactly this text, path and value. In the JSON
 * column ' stands for ", so that the table can be read, and ` for '.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

struct bad_case {
	const char *name;
	const char *json;
	const char *text;
	const char *path;
	const char *value;
};

/* A configuration with these services alone; one with these keys at the top and no service. */
#define HEAD           "{'version':1,'hash_seed':'s','interfaces':[{'name':'eth0'}],"
#define SERVICES(list) HEAD "'services':[" list "]}"
#define TOP(keys)      HEAD keys ",'services':[]}"

/* JSON with its quotes put right; the caller frees. */
static inline char *unquote(const char *json)
{
	char *text = strdup(json);

	assert_non_null(text);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c == '`' ? '\'' : *c;
	return text;
}

static inline void check_bad(void **state)
{
	const struct bad_case *bad = *state;
	struct lb_config *config = NULL;
	struct lb_error error;
	char *json = unquote(bad->json);
	int r;

	memset(&error, 'x', sizeof(error));
	r = lb_config_parse(json, strlen(json), &config, &error);
	free(json);
	assert_int_equal(r, -EINVAL);
	assert_null(config);
	assert_string_equal(error.text, bad->text);
	assert_string_equal(error.path, bad->path);
	assert_string_equal(error.value, bad->value);
}

/* Runs every case as a test of its own. */
static inline int run_bad(const char *group, const struct bad_case *cases, size_t n)
{
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int r;

	if (!tests)
		return 1;
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, check_bad, NULL, NULL, (void *)&cases[i] };
	r = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	free(tests);
	return r;
}
