// SPDX-License-Identifier: GPL-2.0-only
/*
 * No tree is made of what the schema has no place for: where a text is cut before it is read, and that what
 * fits is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_read.h"

#define MANY 100000

/* before, MANY times repeated, after: how much of it the reader has to see; -1: all of it. */
static long seen(const char *before, const char *repeated, const char *after)
{
	size_t length = strlen(before) + MANY * strlen(repeated) + strlen(after), cut_length = 0;
	char *text = malloc(length + 1), *cut = NULL, *at = text;

	assert_non_null(text);
	at = stpcpy(at, before);
	for (int i = 0; i < MANY; i++)
		at = stpcpy(at, repeated);
	strcpy(at, after);
	assert_int_equal(lb_config_shape(text, length, &cut, &cut_length), 0);
	free(text);
	if (cut) {
		char problem[LB_JSON_PROBLEM_MAX];
		size_t offset;

		assert_int_equal(lb_json_check(cut, cut_length, &offset, problem), 0);
		free(cut);
		return (long)cut_length;
	}
	return -1;
}

static void what_the_schema_has_no_place_for_is_not_seen(void **state)
{
	assert_in_range(seen("[", "1,", "1]"), 2, 16);
	assert_in_range(seen("{\"version\":1,\"nothing\":[", "[],", "1]}"), 2, 64);
	assert_in_range(seen("{", "\"a\":1,", "\"b\":1}"), 2, 16);
	assert_in_range(seen("{", "\"version\":1,", "\"version\":1}"), 2, 32);
	assert_in_range(seen("{\"services\":[{},", "", "{\"name\":[[[[[1]]]]]}]}"), 2, 32);
	assert_in_range(seen("{\"services\":[{\"name\":[", "1,", "1]}]}"), 2, 64);
	assert_in_range(seen("{\"api\":[", "1,", "1]}"), 2, 64);
	assert_in_range(seen("{\"services\":[[", "1,", "1]]}"), 2, 64);
	assert_in_range(seen("{\"limits\":{", "\"flow_entries\":1,", "\"backends\":1}}"), 2, 64);
}

static void a_list_of_too_many_is_counted_and_no_more(void **state)
{
	assert_in_range(seen("{\"services\":[", "{\"name\":[[[[\"a\"]]]]},", "{}]}"), 65536 * 2,
			65536 * 2 + 32);
	assert_in_range(seen("{\"interfaces\":[", "{\"name\":\"eth0\"},", "{}]}"), 65 * 2, 65 * 2 + 32);
}

static void what_fits_is_seen(void **state)
{
	static const char text[] =
		"{\"\\u0076ersion\":1,\"hash_seed\":\"]}\\\"[\",\"interfaces\":[{\"name\":\"eth0\"}], "
		"\"services\" : [ ] }";
	char *cut = NULL;
	size_t length;

	assert_int_equal(lb_config_shape(text, strlen(text), &cut, &length), 0);
	assert_null(cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_schema_has_no_place_for_is_not_seen),
		cmocka_unit_test(a_list_of_too_many_is_counted_and_no_more),
		cmocka_unit_test(what_fits_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
