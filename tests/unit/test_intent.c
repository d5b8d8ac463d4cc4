// SPDX-License-Identifier: GPL-2.0-only
/*
 * The truth table of the intent layer, as a table of sentences; that verdicts lapse, words end, and that all
 * backends together come out as each of them alone.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "intent/intent.h"

#define NOW   1000
#define CHECK 7

enum { UP = LB_STATE_ACTIVE, DRAIN = LB_STATE_DRAIN, DOWN = LB_STATE_DOWN, QUIET = -1 };
enum { AUTO = LB_BREAKER_AUTO, OPEN = LB_BREAKER_OPEN, OFF = LB_BREAKER_OFF };

/* What a verdict says; a share of 0 in the table stands for all. */
struct verdict {
	int state;
	__u32 share;
};
#define NOTHING                                                                                              \
	{                                                                                                    \
		0, 0                                                                                         \
	}

struct row {
	const char *what;
	int file;
	__u32 file_weight;
	int state;  /* the operator's; QUIET: none */
	int weight; /* the operator's; QUIET: none */
	int breaker;
	struct verdict health, broken;
	int expect;
	__u32 expect_weight;
	const char *reasons; /* origins, those that hold with a '*' */
};

static const struct row rows[] = {
	{ "nobody objects", UP, 100, QUIET, QUIET, AUTO, NOTHING, NOTHING, UP, 100, "" },
	{ "the file drains", DRAIN, 100, QUIET, QUIET, AUTO, NOTHING, NOTHING, DRAIN, 100, "file*" },
	{ "the file says down", DOWN, 100, QUIET, QUIET, AUTO, NOTHING, NOTHING, DOWN, 100, "file*" },
	{ "the file gives no weight", UP, 0, QUIET, QUIET, AUTO, NOTHING, NOTHING, UP, 0, "file*" },
	{ "the operator drains", UP, 100, DRAIN, QUIET, AUTO, NOTHING, NOTHING, DRAIN, 100, "operator*" },
	{ "the operator lifts the file's down", DOWN, 100, UP, QUIET, AUTO, NOTHING, NOTHING, UP, 100,
	  "file operator*" },
	{ "the operator softens the file's down", DOWN, 100, DRAIN, QUIET, AUTO, NOTHING, NOTHING, DRAIN, 100,
	  "file operator*" },
	{ "the operator's weight", UP, 100, QUIET, 7, AUTO, NOTHING, NOTHING, UP, 7, "operator*" },
	{ "the operator gives weight where the file gives none", UP, 0, QUIET, 7, AUTO, NOTHING, NOTHING, UP,
	  7, "file operator*" },
	{ "a check fails", UP, 100, QUIET, QUIET, AUTO, { DOWN, 0 }, NOTHING, DOWN, 100, "health*" },
	{ "a check passes", UP, 100, QUIET, QUIET, AUTO, { UP, 0 }, NOTHING, UP, 100, "" },
	{ "a passing check does not lift the operator's down",
	  UP,
	  100,
	  DOWN,
	  QUIET,
	  AUTO,
	  { UP, 0 },
	  NOTHING,
	  DOWN,
	  100,
	  "operator*" },
	{ "nor the file's drain", DRAIN, 100, QUIET, QUIET, AUTO, { UP, 0 }, NOTHING, DRAIN, 100, "file*" },
	{ "a failing check is worse than the operator's drain, which stays beside",
	  UP,
	  100,
	  DRAIN,
	  QUIET,
	  AUTO,
	  { DOWN, 0 },
	  NOTHING,
	  DOWN,
	  100,
	  "operator health*" },
	{ "a refusing backend and the operator both drain",
	  UP,
	  100,
	  DRAIN,
	  QUIET,
	  AUTO,
	  { DRAIN, 0 },
	  NOTHING,
	  DRAIN,
	  100,
	  "operator* health*" },
	{ "the operator's active does not revive what a check holds down",
	  UP,
	  100,
	  UP,
	  QUIET,
	  AUTO,
	  { DOWN, 0 },
	  NOTHING,
	  DOWN,
	  100,
	  "operator health*" },
	{ "a breaker drains", UP, 100, QUIET, QUIET, AUTO, NOTHING, { DRAIN, 0 }, DRAIN, 100, "breaker*" },
	{ "health and breaker: the worse one",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  AUTO,
	  { DRAIN, 0 },
	  { DOWN, 0 },
	  DOWN,
	  100,
	  "health breaker*" },
	{ "a half-open breaker gives a tenth",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  AUTO,
	  NOTHING,
	  { UP, 100 },
	  UP,
	  10,
	  "breaker*" },
	{ "of a weight too small for it, one",
	  UP,
	  3,
	  QUIET,
	  QUIET,
	  AUTO,
	  NOTHING,
	  { UP, 100 },
	  UP,
	  1,
	  "breaker*" },
	{ "of the operator's weight",
	  UP,
	  100,
	  QUIET,
	  1000,
	  AUTO,
	  NOTHING,
	  { UP, 250 },
	  UP,
	  250,
	  "operator* breaker*" },
	{ "the smaller one of two shares",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  AUTO,
	  { UP, 500 },
	  { UP, 250 },
	  UP,
	  25,
	  "health breaker*" },
	{ "a thousandth, rounded up", UP, 100, QUIET, QUIET, AUTO, { UP, 1 }, NOTHING, UP, 1, "health*" },
	{ "a share of nothing is nothing",
	  UP,
	  0,
	  QUIET,
	  QUIET,
	  AUTO,
	  { UP, 500 },
	  NOTHING,
	  UP,
	  0,
	  "file* health*" },
	{ "forced open: drains", UP, 100, QUIET, QUIET, OPEN, NOTHING, NOTHING, DRAIN, 100, "operator*" },
	{ "forced open, and a passing check",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  OPEN,
	  { UP, 0 },
	  { UP, 0 },
	  DRAIN,
	  100,
	  "operator*" },
	{ "forced open, and a check that says worse",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  OPEN,
	  { DOWN, 0 },
	  NOTHING,
	  DOWN,
	  100,
	  "operator health*" },
	{ "forced open under the operator's down", UP, 100, DOWN, QUIET, OPEN, NOTHING, NOTHING, DOWN, 100,
	  "operator* operator" },
	{ "disabled: verdicts are not heeded",
	  UP,
	  100,
	  QUIET,
	  QUIET,
	  OFF,
	  { DOWN, 0 },
	  { DRAIN, 100 },
	  UP,
	  100,
	  "operator* health breaker" },
	{ "disabled does not lift the operator's drain",
	  UP,
	  100,
	  DRAIN,
	  QUIET,
	  OFF,
	  { DOWN, 0 },
	  NOTHING,
	  DRAIN,
	  100,
	  "operator* operator* health" },
	{ "disabled does not lift the file's down",
	  DOWN,
	  100,
	  QUIET,
	  QUIET,
	  OFF,
	  { UP, 0 },
	  NOTHING,
	  DOWN,
	  100,
	  "file* operator*" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

struct fixture {
	struct lb_config_backend backends[3];
	struct lb_config_service service;
	struct lb_config config;
	struct lb_words words;
	struct lb_verdicts *verdicts;
	struct lb_intent intent;
};

static __u64 check_now = CHECK;

static __u64 check_of(const struct lb_config_service *service, const struct lb_config_backend *backend)
{
	(void)service;
	(void)backend;
	return check_now;
}

static struct lb_address address(__u8 last)
{
	return (struct lb_address){ .family = LB_FAMILY_V4, .bytes = { 10, 0, 0, last } };
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	for (__u8 i = 0; i < 3; i++) {
		snprintf(f->backends[i].name, sizeof(f->backends[i].name), "b%u", i);
		f->backends[i].weight = 100;
		f->backends[i].address = address(i);
	}
	strcpy(f->service.name, "web");
	f->service.backends = f->backends;
	f->service.n_backends = 3;
	f->config.services = &f->service;
	f->config.n_services = 1;
	assert_int_equal(lb_verdicts_new(&f->verdicts), 0);
	f->intent = (struct lb_intent){
		.words = &f->words, .verdicts = f->verdicts, .check_of = check_of, .now_s = NOW
	};
	check_now = CHECK;
}

static void teardown(struct fixture *f)
{
	lb_words_done(&f->words);
	lb_verdicts_free(f->verdicts);
}

static void say(struct fixture *f, const char *backend, enum lb_word_key key, __u32 value, __s64 until_s)
{
	struct lb_word word = { .service = "web", .key = key, .value = value, .until_s = until_s, .pid = 12 };

	strcpy(word.backend, backend);
	strcpy(word.reason, "disk");
	assert_int_equal(lb_words_set(&f->words, &word), 0);
}

static int judge(struct fixture *f, enum lb_origin origin, __u8 backend, int state, __u32 share)
{
	struct lb_verdict verdict = { .state = (enum lb_state)state,
				      .share = share ? share : LB_SHARE_ALL,
				      .address = address(backend),
				      .check = CHECK,
				      .since_s = 900 };

	strcpy(verdict.reason, "connect refused");
	return lb_verdicts_set(f->verdicts, origin, "web", f->backends[backend].name, &verdict);
}

static void resolve(struct fixture *f, __u8 backend, struct lb_effective *ret_effective)
{
	lb_intent_resolve(&f->intent, &f->service, &f->service.backends[backend], ret_effective);
}

static void apply_row(struct fixture *f, const struct row *row)
{
	setup(f);
	f->backends[0].state = (enum lb_state)row->file;
	f->backends[0].weight = row->file_weight;
	if (row->state != QUIET)
		say(f, "b0", LB_WORD_STATE, row->state, 0);
	if (row->weight != QUIET)
		say(f, "b0", LB_WORD_WEIGHT, row->weight, 0);
	if (row->breaker != AUTO)
		say(f, "b0", LB_WORD_BREAKER, row->breaker, 0);
	assert_true(judge(f, LB_ORIGIN_HEALTH, 0, row->health.state, row->health.share) >= 0);
	assert_true(judge(f, LB_ORIGIN_BREAKER, 0, row->broken.state, row->broken.share) >= 0);
}

static void origins_of(const struct lb_effective *effective, char text[256])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < effective->n_statements; i++)
		used += snprintf(text + used, 256 - used, "%s%s%s", i ? " " : "",
				 lb_origin_name(effective->statements[i].origin),
				 effective->statements[i].holds ? "*" : "");
}

static void test_truth_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		struct lb_effective effective;
		struct fixture f;
		char origins[256];

		apply_row(&f, row);
		resolve(&f, 0, &effective);
		origins_of(&effective, origins);
		if ((int)effective.state != row->expect || effective.weight != row->expect_weight ||
		    strcmp(origins, row->reasons) != 0)
			print_error("%s: got %s, weight %u, reasons \"%s\"\n", row->what,
				    lb_state_name(effective.state), effective.weight, origins);
		assert_int_equal(effective.state, row->expect);
		assert_int_equal(effective.weight, row->expect_weight);
		assert_string_equal(origins, row->reasons);
		teardown(&f);
	}
}

/* The engine is told of a backend exactly where it is not what is configured, and then the same. */
static void test_overrides(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		bool state_differs = row->file != row->expect;
		bool weight_differs = row->file_weight != row->expect_weight;
		struct lb_override *overrides;
		struct fixture f;
		size_t n;

		apply_row(&f, row);
		assert_int_equal(lb_intent_overrides(&f.intent, &f.config, &overrides, &n), 0);
		assert_int_equal(n, state_differs || weight_differs);
		if (n) {
			assert_string_equal(overrides->service, "web");
			assert_string_equal(overrides->backend, "b0");
			assert_int_equal(overrides->has_state, state_differs);
			assert_int_equal(overrides->has_weight, weight_differs);
			assert_int_equal(overrides->state, row->expect);
			assert_int_equal(overrides->weight, row->expect_weight);
		}
		free(overrides);
		teardown(&f);
	}
}

static void test_a_word_ends(void **state)
{
	struct lb_effective effective;
	struct fixture f;

	(void)state;
	setup(&f);
	say(&f, "b1", LB_WORD_STATE, DRAIN, NOW + 30);
	say(&f, "b1", LB_WORD_WEIGHT, 5, 0);
	assert_int_equal(lb_words_next_end(&f.words), NOW + 30);
	resolve(&f, 1, &effective);
	assert_int_equal(effective.state, DRAIN);
	f.intent.now_s = NOW + 29;
	resolve(&f, 1, &effective);
	assert_int_equal(effective.state, DRAIN);
	f.intent.now_s = NOW + 30;
	resolve(&f, 1, &effective);
	assert_int_equal(effective.state, UP);
	/* What was said without an end goes on. */
	assert_int_equal(effective.weight, 5);
	assert_true(lb_words_clear(&f.words, "web", "b1", LB_WORD_STATE));
	assert_false(lb_words_clear(&f.words, "web", "b1", LB_WORD_STATE));
	assert_int_equal(lb_words_next_end(&f.words), 0);
	teardown(&f);
}

static void test_a_verdict_lapses(void **state)
{
	struct lb_effective effective;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 2, DOWN, 0), 1);
	resolve(&f, 2, &effective);
	assert_int_equal(effective.state, DOWN);
	/* Another address under the same name has not failed. */
	f.backends[2].address = address(99);
	resolve(&f, 2, &effective);
	assert_int_equal(effective.state, UP);
	assert_int_equal(effective.n_statements, 0);
	f.backends[2].address = address(2);
	/* Nor has the same one by another check. */
	check_now = CHECK + 1;
	resolve(&f, 2, &effective);
	assert_int_equal(effective.state, UP);
	/* Nor where checks are gone. */
	f.intent.check_of = NULL;
	resolve(&f, 2, &effective);
	assert_int_equal(effective.state, UP);
	teardown(&f);
}

static void test_what_a_verdict_changes(void **state)
{
	struct lb_verdict verdict = { .share = LB_SHARE_ALL + 1 };
	char name[LB_NAME_MAX + 1];
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 0, UP, 0), 0);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 0, DOWN, 0), 1);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 0, DOWN, 0), 0);
	assert_int_equal(judge(&f, LB_ORIGIN_BREAKER, 0, UP, 500), 1);
	assert_int_equal(lb_verdicts_count(f.verdicts), 2);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 0, UP, 0), 1);
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_HEALTH, "web", "b0", NULL), 0);
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_BREAKER, "web", "b0", NULL), 1);
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_BREAKER, "web", "b0", NULL), 0);
	assert_int_equal(lb_verdicts_count(f.verdicts), 0);
	assert_null(lb_verdicts_get(f.verdicts, LB_ORIGIN_HEALTH, "web", "b0"));
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_HEALTH, "web", "b0", &verdict), -EINVAL);
	verdict.share = 0;
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_OPERATOR, "web", "b0", &verdict), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(lb_verdicts_set(f.verdicts, LB_ORIGIN_HEALTH, "web", name, &verdict), -EINVAL);
	teardown(&f);
}

static void test_text(void **state)
{
	struct lb_effective effective;
	char text[LB_STATEMENT_TEXT_MAX];
	struct fixture f;

	(void)state;
	setup(&f);
	f.backends[0].state = LB_STATE_DOWN;
	strcpy(f.service.source, "kube");
	say(&f, "b0", LB_WORD_STATE, DRAIN, 0);
	assert_int_equal(judge(&f, LB_ORIGIN_HEALTH, 0, DRAIN, 125), 1);
	resolve(&f, 0, &effective);
	assert_int_equal(effective.n_statements, 3);
	assert_string_equal(lb_statement_text(&effective.statements[0], text), "down by source kube");
	assert_string_equal(lb_statement_text(&effective.statements[1], text),
			    "drain by operator (uid 0, pid 12): disk");
	assert_string_equal(lb_statement_text(&effective.statements[2], text),
			    "drain, 12.5 % of its weight by health: connect refused");
	teardown(&f);
}

/* Two services, one of them packed, words on what is not there: each comes out alone as with the others. */
static void test_several_services(void **state)
{
	static const char json[] =
		"{\"version\":1,\"hash_seed\":\"unit-test-seed\",\"interfaces\":[{\"name\":\"eth0\"}],"
		"\"services\":["
		"{\"name\":\"web\",\"vip\":\"203.0.113.1\",\"protocol\":\"tcp\",\"port\":80,\"backends\":["
		"{\"name\":\"b1\",\"address\":\"10.0.0.1\"},{\"name\":\"b0\",\"address\":\"10.0.0.2\"}]},"
		"{\"name\":\"dns\",\"vip\":\"203.0.113.1\",\"protocol\":\"udp\",\"port\":53,\"backends\":["
		"{\"name\":\"b0\",\"address\":\"10.0.0.2\",\"weight\":10}]}]}";
	struct lb_config *config = NULL;
	struct lb_override *overrides;
	struct lb_error error = {};
	struct lb_word word = { .service = "dns", .backend = "b0", .key = LB_WORD_WEIGHT, .value = 11 };
	struct fixture f;
	size_t n;

	(void)state;
	setup(&f);
	assert_int_equal(lb_config_parse(json, strlen(json), &config, &error), 0);
	say(&f, "b0", LB_WORD_STATE, DOWN, 0);
	say(&f, "gone", LB_WORD_STATE, DOWN, 0);
	assert_int_equal(lb_words_set(&f.words, &word), 0);
	strcpy(word.service, "away");
	assert_int_equal(lb_words_set(&f.words, &word), 0);
	assert_int_equal(lb_intent_overrides(&f.intent, config, &overrides, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(overrides[0].service, "dns");
	assert_int_equal(overrides[0].weight, 11);
	assert_false(overrides[0].has_state);
	assert_string_equal(overrides[1].service, "web");
	assert_string_equal(overrides[1].backend, "b0");
	assert_int_equal(overrides[1].state, LB_STATE_DOWN);
	free(overrides);
	lb_config_free(config);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truth_table),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_a_word_ends),

		cmocka_unit_test(test_a_verdict_lapses),
		cmocka_unit_test(test_what_a_verdict_changes),

		cmocka_unit_test(test_text),
		cmocka_unit_test(test_several_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
