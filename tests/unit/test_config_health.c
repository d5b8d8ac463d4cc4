// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health in the configuration: what is given nearest counts, checks that can never work are errors with their
 * place, and what is written is read as the same.
 */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config_diff.h"
#include "config/config_levels.h"

/* A configuration with something at each of the three levels; port as JSON. */
static char *text_of(const char *top, const char *service, const char *backend, const char *port)
{
	char *text = NULL;

	assert_true(
		asprintf(&text,
			 "{ \"version\": 1, \"hash_seed\": \"s\", \"interfaces\": [ { \"name\": \"e\" } ], "
			 "\"health\": {%s},"
			 " \"services\": [ { \"name\": \"web\", \"vip\": \"203.0.113.10\", \"protocol\": "
			 "\"tcp\", \"port\": %s,"
			 " \"health\": {%s}, \"backends\": [ { \"name\": \"a\", \"address\": \"10.0.1.1\" },"
			 " { \"name\": \"b\", \"address\": \"10.0.1.2\" %s } ] } ] }",
			 top, port, service, backend) > 0);
	return text;
}

static struct lb_config *read_levels(const char *top, const char *service, const char *backend)
{
	char *text = text_of(top, service, backend, "443");
	struct lb_config *config = NULL;
	struct lb_error error = {};

	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		fail_msg("%s at %s", error.text, error.path);
	free(text);
	return config;
}

/* The check of one backend. */
static struct lb_config_check check_of(const struct lb_config *config, size_t backend)
{
	struct lb_config_check check;

	lb_config_check_of(config, &config->services[0], &config->services[0].backends[backend], &check);
	return check;
}

static void test_without_a_word_nothing_is_checked(void **state)
{
	struct lb_config *config = read_levels("", "", "");
	struct lb_config_check check = check_of(config, 0);

	assert_int_equal(check.kind, LB_CHECK_NONE);
	assert_true(lb_config_check_digest(&check) == 0);
	lb_config_free(config);
}

static void test_the_nearest_level_counts(void **state)
{
	struct lb_config *config = read_levels(
		"\"check\": { \"kind\": \"tcp\", \"fall\": 5, \"rise\": 3, \"interval_ms\": 4000 }",
		"\"check\": { \"fall\": 6, \"interval_ms\": 1000 }",
		", \"tier\": 2, \"check\": { \"fall\": 7, \"port\": 8080, \"address\": \"10.9.9.9\" }");
	struct lb_config_check a, b;

	a = check_of(config, 0);
	b = check_of(config, 1);
	assert_int_equal(a.kind, LB_CHECK_TCP);
	assert_int_equal(a.fall, 6);
	assert_int_equal(a.rise, 3);
	assert_int_equal(a.port, 443);
	/* At the VIP, by the backend; one with an address of its own there. */
	assert_int_equal(a.target, LB_CHECK_TARGET_VIP);
	assert_int_equal(a.address.bytes[3], 10);
	assert_int_equal(a.via.bytes[3], 1);
	assert_int_equal(b.target, LB_CHECK_TARGET_ADDRESS);
	assert_int_equal(b.via.family, 0);
	/* A default that an interval that was given has no room for gives way. */
	assert_int_equal(a.interval_ms, 1000);
	assert_int_equal(a.timeout_ms, 1000);
	assert_int_equal(a.fast_interval_ms, 250);
	assert_int_equal(b.fall, 7);
	assert_int_equal(b.rise, 3);
	assert_int_equal(b.port, 8080);
	assert_int_equal(b.address.bytes[1], 9);
	assert_true(lb_config_check_digest(&a) != lb_config_check_digest(&b));
	lb_config_free(config);
}

static void test_breakers_inherit_as_well(void **state)
{
	struct lb_config *config = read_levels(
		"\"breaker\": { \"wait_ms\": 5, \"ramp_ms\": 700, \"weights\": { \"status\": 9 } }",
		"\"breaker\": { \"wait_ms\": 0, \"rate_percent\": 0 }", "");
	struct lb_config_breaker breaker;

	lb_config_breaker_of(config, &config->services[0], &breaker);
	assert_int_equal(breaker.wait_ms, 0);
	assert_int_equal(breaker.rate_percent, 0);
	assert_int_equal(breaker.ramp_ms, 700);
	assert_int_equal(breaker.weights.status, 9);
	assert_int_equal(breaker.weights.refused, 100);
	assert_int_equal(breaker.when_all_fail, LB_ALL_FAIL_ALL);
	assert_int_equal(breaker.floor_percent, 20);
	lb_config_free(config);
}

static void test_written_is_read_as_the_same(void **state)
{
	struct lb_config *config = read_levels(
		"\"check\": { \"kind\": \"http\", \"status\": \"200-299\", \"host\": \"example.org\" }",
		"\"check\": { \"status\": 204, \"method\": \"HEAD\" }, \"breaker\": { \"when_all_fail\": "
		"\"none\" }",
		", \"tier\": 1, \"check\": { \"kind\": \"tcp\", \"send\": \"PING\\r\\n\", \"expect\": "
		"\"+PONG\" }");
	struct lb_config *again = NULL;
	struct lb_config_check before, after;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(lb_config_write(config, out), 0);
	fclose(out);
	assert_int_equal(lb_config_parse(text, size, &again, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		before = check_of(config, i);
		after = check_of(again, i);
		assert_memory_equal(&before, &after, sizeof(before));
	}
	assert_int_equal(before.status_first, 204);
	assert_string_equal(before.send, "PING\r\n");
	assert_true(lb_config_same_service(&config->services[0], &again->services[0]));
	assert_int_equal(again->services[0].backends[1].tier, 1);
	free(text);
	lb_config_free(config);
	lb_config_free(again);
}

static void test_the_target_is_what_the_address_says(void **state)
{
	struct lb_config *config =
		read_levels("\"check\": { \"kind\": \"tcp\", \"target\": \"address\" }", "",
			    ", \"check\": { \"address\": \"203.0.113.10\", \"target\": \"vip\" }");
	struct lb_config_check a = check_of(config, 0), b = check_of(config, 1);

	assert_int_equal(a.address.bytes[3], 1);
	assert_int_equal(a.via.family, 0);
	assert_int_equal(b.address.bytes[3], 10);
	assert_int_equal(b.via.bytes[3], 2);
	assert_int_equal(b.forward, LB_FORWARD_IPIP);
	assert_true(config->checker.mark.value == 0x2000 && config->checker.mark.mask == 0x2f00);
	lb_config_free(config);
}

struct row {
	const char *what, *top, *service, *backend, *port;
	const char *path, *text; /* the error's, its beginning */
};

static const struct row rows[] = {
	{ "a range of ports needs a port to ask", "\"check\": { \"kind\": \"tcp\" }", "", "", "\"80-90\"",
	  "health.check.kind", "the check needs a port" },
	{ "said in the service", "", "\"check\": { \"kind\": \"tcp\" }", "", "\"any\"",
	  "services[0].health.check.kind", "the check needs a port" },
	{ "said of the backend", "", "", ", \"check\": { \"kind\": \"tcp\" }", "\"any\"",
	  "services[0].backends[1].check.kind", "the check needs a port" },
	{ "a check that outlasts its interval", "\"check\": { \"kind\": \"tcp\", \"timeout_ms\": 3000 }", "",
	  "", "443", "health.check.timeout_ms", "timeout_ms must be at most interval_ms, which is 2000" },
	{ "fast is not slower", "", "\"check\": { \"kind\": \"tcp\", \"fast_interval_ms\": 3000 }", "", "443",
	  "services[0].health.check.fast_interval_ms", "fast_interval_ms must be at most interval_ms" },
	{ "https without anything to trust", "\"check\": { \"kind\": \"https\" }", "", "", "443",
	  "health.check.kind", "an https check needs ca" },
	{ "an answer that nobody asked for", "", "", ", \"check\": { \"kind\": \"udp\", \"expect\": \"x\" }",
	  "443", "services[0].backends[1].check.kind", "a udp check needs send" },
	{ "a path that ends a line", "\"check\": { \"path\": \"/a\\r\\nb\" }", "", "", "443",
	  "health.check.path", "path must be a path" },
	{ "a path that is none", "\"check\": { \"path\": \"a\" }", "", "", "443", "health.check.path",
	  "path must be a path" },
	{ "a host that ends a line", "\"check\": { \"host\": \"a\\nb\" }", "", "", "443", "health.check.host",
	  "host must be" },
	{ "a method of a smuggler", "\"check\": { \"method\": \"GET /\" }", "", "", "443",
	  "health.check.method", "method must be" },
	{ "a status that is none", "\"check\": { \"status\": \"200-99\" }", "", "", "443",
	  "health.check.status", "status must be" },
	{ "an empty range", "\"check\": { \"status\": \"300-200\" }", "", "", "443", "health.check.status",
	  "status must be" },
	{ "a status without a class", "\"check\": { \"status\": 600 }", "", "", "443", "health.check.status",
	  "status must be" },
	{ "more failures in a row than are remembered", "\"check\": { \"fall\": 17 }", "", "", "443",
	  "health.check.fall", "fall must be a whole number from 1 to 16" },
	{ "a relative ca", "\"check\": { \"ca\": \"ca.pem\" }", "", "", "443", "health.check.ca",
	  "ca must be an absolute path" },
	{ "a command by its name alone", "\"check\": { \"kind\": \"exec\", \"command\": \"true\" }", "", "",
	  "443", "health.check.command", "command must be an absolute path" },
	{ "exec without a command", "", "\"check\": { \"kind\": \"exec\" }", "", "443",
	  "services[0].health.check.kind", "an exec check needs command" },
	{ "a command through the packet path", "",
	  "\"check\": { \"kind\": \"exec\", \"command\": \"/bin/true\", \"target\": \"vip\" }", "", "443",
	  "services[0].health.check.target", "a command does not go through the packet path" },
	{ "a kind that is none", "\"check\": { \"kind\": \"ping\" }", "", "", "443", "health.check.kind",
	  "kind must be" },
	{ "a tier too many", "", "", ", \"tier\": 8", "443", "services[0].backends[1].tier", "tier must be" },
	{ "through the packet path to somewhere else",
	  "\"check\": { \"kind\": \"tcp\", \"target\": \"vip\" }", "",
	  ", \"check\": { \"address\": \"10.9.9.9\" }", "443", "health.check.target",
	  "the address that is asked is not within the VIP" },
	{ "a target that is none", "\"check\": { \"target\": \"both\" }", "", "", "443",
	  "health.check.target", "target must be" },
	{ "a mark of kube-proxy's", "}, \"checker\": { \"mark\": \"0x8000/0x8000\"", "", "", "443",
	  "checker.mark", "mark must be" },
	{ "a mark that does not fit its mask", "}, \"checker\": { \"mark\": \"0x2000/0x1000\"", "", "", "443",
	  "checker.mark", "mark must be" },
	{ "no mark", "}, \"checker\": { \"mark\": \"0x0/0x1000\"", "", "", "443", "checker.mark",
	  "mark must be" },
	{ "given twice", "\"check\": { \"kind\": \"tcp\" }, \"check\": { \"kind\": \"tcp\" }", "", "", "443",
	  "health.check", "check is given twice" },
	{ "not an object", "\"check\": 1", "", "", "443", "health.check", "check must be an object" },
};

static void test_what_can_never_work_is_an_error(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		char *text = text_of(row->top, row->service, row->backend, row->port);
		struct lb_config *config = NULL;
		struct lb_error error = {};

		if (lb_config_parse(text, strlen(text), &config, &error) != -EINVAL)
			fail_msg("%s: accepted", row->what);
		if (strcmp(error.path, row->path) != 0 ||
		    strncmp(error.text, row->text, strlen(row->text)) != 0)
			fail_msg("%s: %s at %s", row->what, error.text, error.path);
		free(text);
	}
}

/* What a file says is of this host. */
static void test_a_command_of_a_file_is_a_program_here(void **state)
{
	static const struct {
		const char *command, *text;
	} cases[] = {
		{ "/no/such/command", "there is no such file" },
		{ "/etc/passwd", "it is not executable" },
		{ "/tmp", "it is no file" },
		{ "/bin/true", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_config *config = NULL;
		struct lb_error error = {};
		char keys[128], *text;
		int r;

		snprintf(keys, sizeof(keys), ", \"check\": { \"kind\": \"exec\", \"command\": \"%s\" }",
			 cases[i].command);
		text = text_of("", "", keys, "443");
		r = lb_config_parse_file("weir.json", text, strlen(text), &config, &error);
		free(text);
		if (!cases[i].text) {
			assert_int_equal(r, 0);
			lb_config_free(config);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		assert_null(config);
		assert_string_equal(error.path, "services[0].backends[1].check.command");
		assert_string_equal(error.value, cases[i].command);
		assert_non_null(strstr(error.text, cases[i].text));
	}
}

/* Saved verdicts are kept by digest: an upgrade must not lose those of the kinds that were there. */
static void test_the_digest_of_other_kinds_knows_no_command(void **state)
{
	struct lb_config_check check = { .kind = LB_CHECK_TCP, .port = 80, .interval_ms = 1000 }, other;

	memset(&other, 0, sizeof(other));
	other = check;
	snprintf(other.command, sizeof(other.command), "/bin/true");
	assert_true(lb_config_check_digest(&check) == lb_config_check_digest(&other));
	check.kind = other.kind = LB_CHECK_EXEC;
	assert_false(lb_config_check_digest(&check) == lb_config_check_digest(&other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_word_nothing_is_checked),
		cmocka_unit_test(test_the_nearest_level_counts),
		cmocka_unit_test(test_the_target_is_what_the_address_says),
		cmocka_unit_test(test_breakers_inherit_as_well),
		cmocka_unit_test(test_written_is_read_as_the_same),
		cmocka_unit_test(test_what_can_never_work_is_an_error),
		cmocka_unit_test(test_a_command_of_a_file_is_a_program_here),
		cmocka_unit_test(test_the_digest_of_other_kinds_knows_no_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
