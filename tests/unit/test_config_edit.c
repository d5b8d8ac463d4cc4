// SPDX-License-Identifier: GPL-2.0-only
/*
 * Editing the text of a configuration: what changes, and that nothing else does.
 */
#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/config_edit.h"

/* As a person may write it. */
static const char file[] =
	"{\n"
	"  \"version\": 1, \"hash_seed\": \"a \\\"b\\\" ]}\",\n"
	"  \"interfaces\": [ { \"name\": \"eth0\" } ],\n"
	"\n"
	"  \"services\": [\n"
	"    { \"name\": \"web\", \"vip\": \"203.0.113.10\",   \"protocol\": \"tcp\", \"port\": 443,\n"
	"      \"backends\": [\n"
	"        { \"name\": \"web-1\", \"address\": \"10.0.1.11\" },\n"
	"        { \"name\": \"web-2\", \"address\": \"10.0.1.12\", \"weight\": 50 } ] },\n"
	"    { \"name\": \"dns\", \"vip\": \"203.0.113.11\", \"protocol\": \"udp\", \"port\": 53,\n"
	"      \"backends\": [] }\n"
	"  ]\n"
	"}\n";

static int try(const char *text, enum lb_edit_how how, const char *service, const char *backend,
	       const char *members, char **ret_text, struct lb_error *error)
{
	cJSON *object = members ? cJSON_Parse(members) : NULL;
	struct lb_config_edit edit = {
		.how = how, .service = service, .backend = backend, .members = object
	};
	size_t length = 0;
	int r;

	*ret_text = NULL;
	r = lb_config_edit(text, strlen(text), &edit, ret_text, &length, error);
	if (r == 0)
		assert_int_equal(strlen(*ret_text), length);
	cJSON_Delete(object);
	return r;
}

/* The text with one part of it replaced: what is wanted. Malloc'd. */
static char *with(const char *text, const char *part, const char *by)
{
	const char *at = strstr(text, part);
	char *made = malloc(strlen(text) + strlen(by) + 1);

	assert_non_null(at);
	assert_null(strstr(at + 1, part));
	sprintf(made, "%.*s%s%s", (int)(at - text), text, by, at + strlen(part));
	return made;
}

static void expect(enum lb_edit_how how, const char *service, const char *backend, const char *members,
		   const char *part, const char *by)
{
	char *wanted = with(file, part, by), *got;
	struct lb_config *config = NULL;
	struct lb_error error = { 0 };

	if (try(file, how, service, backend, members, &got, &error) < 0)
		fail_msg("%s", error.text);
	assert_string_equal(got, wanted);
	if (lb_config_parse(got, strlen(got), &config, &error) < 0)
		fail_msg("%s: %s\n%s", error.path, error.text, got);
	lb_config_free(config);
	free(wanted);
	free(got);
}

static void a_backend_is_added_behind_the_last(void **state)
{
	(void)state;
	expect(LB_EDIT_ADD, "web", "web-3", "{\"address\":\"10.0.1.13\",\"weight\":7}", "\"weight\": 50 } ]",
	       "\"weight\": 50 },\n        { \"name\": \"web-3\", \"address\": \"10.0.1.13\", \"weight\": 7 "
	       "} ]");
	expect(LB_EDIT_ADD, "dns", "d", "{\"address\":\"10.0.2.1\"}", "\"backends\": []",
	       "\"backends\": [ { \"name\": \"d\", \"address\": \"10.0.2.1\" } ]");
}

static void a_service_is_added(void **state)
{
	(void)state;
	expect(LB_EDIT_ADD, "ntp", NULL,
	       "{\"vip\":\"203.0.113.12\",\"protocol\":\"udp\",\"port\":123,\"backends\":"
	       "[{\"name\":\"a\",\"address\":\"10.0.3.1\"},{\"name\":\"b\",\"address\":\"10.0.3.2\"}]}",
	       "\"backends\": [] }\n",
	       "\"backends\": [] },\n"
	       "    { \"name\": \"ntp\", \"vip\": \"203.0.113.12\", \"protocol\": \"udp\", \"port\": 123, "
	       "\"backends\": [\n"
	       "        { \"name\": \"a\", \"address\": \"10.0.3.1\" },\n"
	       "        { \"name\": \"b\", \"address\": \"10.0.3.2\" }\n"
	       "      ] }\n");
	expect(LB_EDIT_ADD, "ntp", NULL, "{\"vip\":\"203.0.113.12\",\"protocol\":\"udp\",\"port\":123}",
	       "\"backends\": [] }\n",
	       "\"backends\": [] },\n    { \"name\": \"ntp\", \"vip\": \"203.0.113.12\", \"protocol\": "
	       "\"udp\", "
	       "\"port\": 123, \"backends\": [] }\n");
}

static void members_are_set_where_they_are(void **state)
{
	(void)state;
	expect(LB_EDIT_MERGE, "web", "web-2", "{\"weight\":60}", "\"weight\": 50", "\"weight\": 60");
	expect(LB_EDIT_MERGE, "web", "web-1", "{\"state\":\"drain\"}", "\"10.0.1.11\" }",
	       "\"10.0.1.11\", \"state\": \"drain\" }");
	expect(LB_EDIT_MERGE, "web", NULL, "{\"port\":8443}", "443", "8443");
	expect(LB_EDIT_MERGE, "dns", NULL, "{\"idle_timeout_s\":60,\"name\":\"dns\"}", "\"backends\": [] }",
	       "\"backends\": [],\n      \"idle_timeout_s\": 60 }");
	/* Back to the default. */
	expect(LB_EDIT_MERGE, "web", "web-2", "{\"weight\":null}", ", \"weight\": 50", "");
	expect(LB_EDIT_MERGE, "web", "web-2", "{\"state\":null}", "50", "50");
}

static void something_is_taken_away(void **state)
{
	(void)state;
	expect(LB_EDIT_DELETE, "web", "web-1", NULL,
	       "{ \"name\": \"web-1\", \"address\": \"10.0.1.11\" },\n        ", "");
	expect(LB_EDIT_DELETE, "web", "web-2", NULL,
	       ",\n        { \"name\": \"web-2\", \"address\": \"10.0.1.12\", \"weight\": 50 }", "");
	expect(LB_EDIT_DELETE, "dns", NULL, NULL,
	       ",\n    { \"name\": \"dns\", \"vip\": \"203.0.113.11\", \"protocol\": \"udp\", \"port\": 53,\n"
	       "      \"backends\": [] }",
	       "");
}

static void something_is_replaced_whole(void **state)
{
	(void)state;
	expect(LB_EDIT_REPLACE, "web", "web-2", "{\"address\":\"10.0.1.99\"}",
	       "{ \"name\": \"web-2\", \"address\": \"10.0.1.12\", \"weight\": 50 }",
	       "{ \"name\": \"web-2\", \"address\": \"10.0.1.99\" }");
}

static void what_is_wrong_is_said(void **state)
{
	struct lb_error error = { 0 };
	char *got;

	(void)state;
	assert_int_equal(try(file, LB_EDIT_ADD, "web", "web-1", "{}", &got, &error), -EEXIST);
	assert_int_equal(try(file, LB_EDIT_ADD, "web", NULL, "{}", &got, &error), -EEXIST);
	assert_int_equal(try(file, LB_EDIT_MERGE, "web", "web-9", "{}", &got, &error), -ESRCH);
	assert_int_equal(try(file, LB_EDIT_MERGE, "wob", "web-1", "{}", &got, &error), -ESRCH);
	assert_int_equal(try(file, LB_EDIT_DELETE, "wob", NULL, NULL, &got, &error), -ESRCH);
	assert_int_equal(try(file, LB_EDIT_REPLACE, "web", "web-1", "[1]", &got, &error), -EINVAL);
	assert_int_equal(try(file, LB_EDIT_MERGE, "web", "web-1", "{\"name\":\"w\"}", &got, &error), -EINVAL);
	assert_null(got);
}

/* Names are compared as JSON says, not as they are spelled. */
static void escapes_in_names(void **state)
{
	static const char text[] =
		"{\"services\":[{\"name\":\"w\\u0065b\",\"backends\":[{\"name\":\"a\"}]}]}";
	struct lb_error error = { 0 };
	char *got;

	(void)state;
	assert_int_equal(try(text, LB_EDIT_DELETE, "web", "a", NULL, &got, &error), 0);
	assert_string_equal(got, "{\"services\":[{\"name\":\"w\\u0065b\",\"backends\":[]}]}");
	free(got);
	/* Into what has no blanks at all. */
	assert_int_equal(try(text, LB_EDIT_ADD, "web", "b", "{}", &got, &error), 0);
	assert_string_equal(got, "{\"services\":[{\"name\":\"w\\u0065b\",\"backends\":[{\"name\":\"a\"},"
				 "{ \"name\": \"b\" }]}]}");
	free(got);
}

/* A key that tries to be more than a key stays one, which the reader then refuses. */
static void keys_are_escaped(void **state)
{
	struct lb_error error = { 0 };
	struct lb_config *config = NULL;
	char *got;

	(void)state;
	assert_int_equal(try(file, LB_EDIT_MERGE, "web", "web-1", "{\"weight\\\": 1, \\\"state\":\"down\"}",
			     &got, &error),
			 0);
	assert_non_null(strstr(got, "\"weight\\\": 1, \\\"state\": \"down\""));
	assert_int_equal(lb_config_parse(got, strlen(got), &config, &error), -EINVAL);
	free(got);
}

static void typed(bool of_backend, const char *key, const char *text, const char *json)
{
	struct lb_error error = { 0 };
	cJSON *value = lb_config_typed(of_backend, key, text, &error);
	char *got = value ? cJSON_PrintUnformatted(value) : NULL;

	if (!json)
		assert_null(got);
	else if (!got)
		fail_msg("%s", error.text);
	else
		assert_string_equal(got, json);
	free(got);
	cJSON_Delete(value);
}

static void what_people_type(void **state)
{
	struct lb_error error = { 0 };

	(void)state;
	typed(false, "port", "443", "443");
	typed(false, "port", "80-90", "\"80-90\"");
	typed(false, "port", "any", "\"any\"");
	typed(false, "vip", "203.0.113.10", "\"203.0.113.10\"");
	typed(false, "echo", "false", "false");
	typed(false, "forward", "gue", "\"gue\"");
	typed(false, "idle_timeout_s", "60", "60");
	typed(false, "idle_timeout_s", "", "null");
	typed(false, "idle_timeout_s", "soon", NULL);
	typed(true, "server_id", "0701", "\"0701\"");
	typed(true, "weight", "7", "7");
	assert_null(lb_config_typed(true, "wieght", "7", &error));
	assert_non_null(strstr(error.text, "did you mean weight?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backend_is_added_behind_the_last),
		cmocka_unit_test(a_service_is_added),
		cmocka_unit_test(members_are_set_where_they_are),
		cmocka_unit_test(something_is_taken_away),
		cmocka_unit_test(something_is_replaced_whole),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(escapes_in_names),
		cmocka_unit_test(keys_are_escaped),
		cmocka_unit_test(what_people_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
