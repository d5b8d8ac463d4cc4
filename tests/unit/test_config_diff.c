// SPDX-License-Identifier: GPL-2.0-only
/*
 * The comparison of configurations. The walk below goes over the schema table by itself, changes every key
 * that there is, one at a time, and demands that exactly that is seen: a key that is not compared cannot
 * pass, nor one that is added without being compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_diff.h"

#define TEXT                                                                                                 \
	"{\"version\":1,\"hash_seed\":\"s3cret\","                                                           \
	"\"interfaces\":[{\"name\":\"eth0\",\"xdp_mode\":\"generic\"},{\"name\":\"eth1\"}],"                 \
	"\"tunnel_source\":{\"ipv4\":\"172.16.0.0/12\",\"ipv6\":\"fd00:77::/64\"},"                          \
	"\"limits\":{\"services\":100,\"backends\":1000},\"api\":{\"metrics\":\"127.0.0.1:1\"},"             \
	"\"sources\":[{\"name\":\"kube\",\"uid\":990,\"vips\":[{\"prefix\":\"198.18.0.0/16\"}]}],"           \
	"\"services\":["                                                                                     \
	"{\"name\":\"h3\",\"vip\":\"2001:db8::/"                                                             \
	"48\",\"protocol\":\"udp\",\"port\":\"80-90\",\"forward\":\"gue\","                                  \
	"\"source_ranges\":[{\"prefix\":\"fd00::/8\"}],"                                                     \
	"\"affinity\":\"quic\",\"quic\":{\"configs\":[{\"rotation\":6,\"server_id_bytes\":2},"               \
	"{\"rotation\":0,\"server_id_bytes\":2}]},"                                                          \
	"\"backends\":[{\"name\":\"a\",\"address\":\"10.0.0.1\",\"server_id\":\"0011\"},"                    \
	"{\"name\":\"b\",\"address\":\"fd00::2\",\"server_id\":\"0022\"}]},"                                 \
	"{\"name\":\"web\",\"vip\":\"192.0.2.1\",\"protocol\":\"tcp\",\"port\":80,"                          \
	"\"backends\":[{\"name\":\"w1\",\"address\":\"10.0.0.1\"},{\"name\":\"w2\",\"address\":\"10.0.0."    \
	"2\"},"                                                                                              \
	"{\"name\":\"w3\",\"address\":\"10.0.0.3\"}]}]}"

static struct lb_config *parse(const char *text)
{
	struct lb_config *config = NULL;
	struct lb_error error = {};

	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		fail_msg("%s at %s", error.text, error.path);
	return config;
}

struct seen {
	size_t n;
	struct lb_difference first;
	char path[256], from[256], to[256];
};

static int collect(void *context, const struct lb_difference *difference)
{
	struct seen *seen = context;

	if (seen->n++)
		return 0;
	seen->first = *difference;
	snprintf(seen->path, sizeof(seen->path), "%s", difference->path);
	snprintf(seen->from, sizeof(seen->from), "%s", difference->from);
	snprintf(seen->to, sizeof(seen->to), "%s", difference->to);
	return 0;
}

static struct seen diff(const struct lb_config *from, const struct lb_config *to)
{
	struct seen seen = {};

	assert_int_equal(lb_config_diff(from, to, collect, &seen), 0);
	return seen;
}

/* --- every key of the table ------------------------------------------------------------------------------
 */

static bool other_string(const struct lb_schema_key *key, void *field)
{
	static const char *const texts[] = { "other",
					     "198.51.100.0/30",
					     "2001:db8:1::/64",
					     "10.9.8.7",
					     "fd00::9",
					     "81-91",
					     "/run/other.sock",
					     "127.0.0.1:4711",
					     "3344",
					     "eth9",
					     "GET",
					     "HEAD",
					     "/other",
					     "other.example",
					     "201-299",
					     "words",
					     "0x3000/0x3f00" };
	char before[LB_SCHEMA_TEXT_MAX], after[LB_SCHEMA_TEXT_MAX], reason[LB_SCHEMA_REASON_MAX];

	key->format->print(field, before, sizeof(before));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (key->format->read(key, texts[i], field, reason) < 0)
			continue;
		key->format->print(field, after, sizeof(after));
		if (strcmp(before, after) != 0)
			return true;
	}
	return false;
}

/* Gives the key another value. False: it has one value only. */
static bool change_value(const struct lb_schema_key *key, void *field)
{
	__s64 value;

	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		if (key->minimum == key->maximum)
			return false;
		value = lb_schema_load(field, key->size);
		lb_schema_store(field, key->size, value == key->minimum ? key->maximum : key->minimum);
		return true;
	case LB_SCHEMA_BOOLEAN:
		*(bool *)field = !*(bool *)field;
		return true;
	case LB_SCHEMA_CHOICE:
		value = lb_schema_load(field, key->size);
		lb_schema_store(field, key->size, key->choices[key->choices[0].value == value].value);
		return true;
	default:
		if (!other_string(key, field))
			fail_msg("the test knows no other value for %s", key->name);
		return true;
	}
}

struct tour {
	const struct lb_config *from;
	struct lb_config *to;
	/* The innermost structure of both that the tour is in, but for what is behind an owned pointer. */
	void *from_base, *to_base;
	size_t keys, values;
};

static void tour_object(struct tour *tour, const struct lb_schema_key *keys, void *base);

/* One element fewer. The name of one that is left changes in the tour of the elements. */
static void tour_list(struct tour *tour, const struct lb_schema_key *key, void *base)
{
	size_t *count = (size_t *)((char *)base + key->count_offset), had = *count;
	char *elements = (char *)base + key->offset;
	void *saved[2];
	struct seen seen;

	assert_true(had > 0);
	--*count;
	seen = diff(tour->from, tour->to);
	*count = had;
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.first.kind, LB_DIFFERENCE_REMOVED);
	assert_ptr_equal(seen.first.key, key);
	seen = diff(tour->to, tour->from);
	assert_int_equal(seen.n, 0);
	if (key->in_place) {
		tour_object(tour, key->object, elements);
		return;
	}
	saved[0] = tour->from_base;
	saved[1] = tour->to_base;
	tour->from_base = *(void **)((char *)tour->from_base + key->offset);
	tour->to_base = *(void **)elements;
	tour_object(tour, key->object, tour->to_base);
	tour->from_base = saved[0];
	tour->to_base = saved[1];
}

static void tour_value(struct tour *tour, const struct lb_schema_key *key, void *base)
{
	char *field = (char *)base + key->offset, saved[1024];
	/* A string that has no field of its own is written somewhere into the structure. */
	size_t bytes = key->size                        ? key->size
		       : key->format == &lb_format_port ? sizeof(struct lb_config_service)
							: sizeof(struct lb_config_backend);
	bool is_name = strcmp(key->name, "name") == 0;
	struct seen seen;

	memcpy(saved, field, bytes);
	if (!change_value(key, field)) {
		assert_false(key->size);
		return;
	}
	tour->values++;
	seen = diff(tour->from, tour->to);
	memcpy(field, saved, bytes);
	/* Under another name it is another element: one came and one went. */
	if (seen.n != (is_name ? 2u : 1u))
		fail_msg("%s changed, and %zu differences were seen", key->name, seen.n);
	if (is_name)
		return;
	assert_ptr_equal(seen.first.key, key);
	assert_int_equal(seen.first.effect, key->effect);
	assert_string_equal(strrchr(seen.path, '.') ? strrchr(seen.path, '.') + 1 : seen.path, key->name);
	if (!key->secret)
		assert_string_not_equal(seen.from, seen.to);
}

/* One that is behind a pointer: it comes as a whole, and then its keys are compared like others. */
static void tour_owned(struct tour *tour, const struct lb_schema_key *key, void *base)
{
	size_t offset = (size_t)((char *)base + key->offset - (char *)tour->to_base);
	void **to = (void **)((char *)tour->to_base + offset),
	     **from = (void **)((char *)tour->from_base + offset);
	void *saved[2] = { *from, *to };
	struct seen seen;

	*from = NULL;
	*to = calloc(1, key->size);
	assert_non_null(*to);
	lb_schema_clear(key->object, *to);
	seen = diff(tour->from, tour->to);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.first.kind, LB_DIFFERENCE_ADDED);
	*from = calloc(1, key->size);
	assert_non_null(*from);
	lb_schema_clear(key->object, *from);
	assert_int_equal(diff(tour->from, tour->to).n, 0);
	tour_object(tour, key->object, *to);
	free(*from);
	free(*to);
	*from = saved[0];
	*to = saved[1];
}

static void tour_object(struct tour *tour, const struct lb_schema_key *keys, void *base)
{
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		tour->keys++;
		if (key->type == LB_SCHEMA_ARRAY)
			tour_list(tour, key, base);
		else if (key->type == LB_SCHEMA_OBJECT && key->owned)
			tour_owned(tour, key, base);
		else if (key->type == LB_SCHEMA_OBJECT)
			tour_object(tour, key->object, (char *)base + key->offset);
		else
			tour_value(tour, key, base);
	}
}

static void every_key_of_the_schema_is_compared(void **state)
{
	struct tour tour = { .from = parse(TEXT), .to = parse(TEXT) };

	tour.from_base = (void *)tour.from;
	tour.to_base = tour.to;

	assert_int_equal(diff(tour.from, tour.to).n, 0);
	tour_object(&tour, lb_schema, tour.to);
	assert_int_equal(diff(tour.from, tour.to).n, 0);
	/* The tour went over the whole table, or it would prove nothing. */
	assert_true(tour.keys >= 40 && tour.values >= 30);
	lb_config_free((struct lb_config *)tour.from);
	lb_config_free(tour.to);
}

/* --- sentences -------------------------------------------------------------------------------------------
 */

/* Parses TEXT with one part replaced. */
static struct lb_config *with(const char *part, const char *instead)
{
	char text[4096];
	const char *at = strstr(TEXT, part);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - TEXT), TEXT, instead, at + strlen(part));
	return parse(text);
}

static void changes_are_told_with_path_and_values(void **state)
{
	static const struct {
		const char *part, *instead, *path, *from, *to;
		enum lb_schema_effect effect;
	} rows[] = {
		{ "\"s3cret\"", "\"t0p\"", "hash_seed", "\"(secret)\"", "\"(secret)\"", LB_EFFECT_MAPS },
		{ "\"services\":100", "\"services\":200", "limits.services", "100", "200", LB_EFFECT_TABLES },
		{ "127.0.0.1:1", "127.0.0.1:2", "api.metrics", "\"127.0.0.1:1\"", "\"127.0.0.1:2\"",
		  LB_EFFECT_APPLY },
		{ "\"xdp_mode\":\"generic\"", "\"xdp_mode\":\"native\"", "interfaces[eth0].xdp_mode",
		  "\"generic\"", "\"native\"", LB_EFFECT_APPLY },
		{ "172.16.0.0/12", "172.16.0.0/16", "tunnel_source.ipv4", "\"172.16.0.0/12\"",
		  "\"172.16.0.0/16\"", LB_EFFECT_APPLY },
		{ "{\"name\":\"w2\",\"address\":\"10.0.0.2\"}", "{\"name\":\"w2\",\"address\":\"10.0.0.9\"}",
		  "services[web].backends[w2].address", "\"10.0.0.2\"", "\"10.0.0.9\"", LB_EFFECT_APPLY },
		{ "{\"name\":\"w3\",\"address\":\"10.0.0.3\"}",
		  "{\"name\":\"w3\",\"address\":\"10.0.0.3\",\"weight\":7}",
		  "services[web].backends[w3].weight", "100", "7", LB_EFFECT_NEW },
		{ "\"rotation\":6", "\"rotation\":5", "services[h3].quic.configs[0].rotation", "6", "5",
		  LB_EFFECT_APPLY },
		{ "\"0022\"", "\"0033\"", "services[h3].backends[b].server_id", "\"0022\"", "\"0033\"",
		  LB_EFFECT_APPLY },
		{ "\"port\":80,", "\"port\":80,\"ring_size\":2048,", "services[web].ring_size", "null",
		  "2048", LB_EFFECT_SERVICE },
	};
	struct lb_config *from = parse(TEXT);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lb_config *to = with(rows[i].part, rows[i].instead);
		struct seen seen = diff(from, to);

		assert_int_equal(seen.n, 1);
		assert_string_equal(seen.path, rows[i].path);
		assert_string_equal(seen.from, rows[i].from);
		assert_string_equal(seen.to, rows[i].to);
		assert_int_equal(seen.first.effect, rows[i].effect);
		assert_int_equal(seen.first.kind, LB_DIFFERENCE_VALUE);
		lb_config_free(to);
	}
	lb_config_free(from);
}

static void order_is_no_difference(void **state)
{
	struct lb_config *from = parse(TEXT);
	struct lb_config *to =
		with("{\"name\":\"w1\",\"address\":\"10.0.0.1\"},{\"name\":\"w2\",\"address\":\"10.0.0.2\"}",
		     "{\"name\":\"w2\",\"address\":\"10.0.0.2\"},{\"name\":\"w1\",\"address\":\"10.0.0.1\"}");

	assert_int_equal(diff(from, to).n, 0);
	assert_true(lb_config_same_service(&from->services[1], &to->services[1]));
	lb_config_free(from);
	lb_config_free(to);
}

static void one_element_more_is_one_difference(void **state)
{
	struct lb_config *from = parse(TEXT);
	struct lb_config *to =
		with("{\"name\":\"w1\",", "{\"name\":\"w0\",\"address\":\"10.0.0.7\"},{\"name\":\"w1\",");
	struct seen seen = diff(from, to);

	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.first.kind, LB_DIFFERENCE_ADDED);
	assert_string_equal(seen.path, "services[web].backends[w0]");
	seen = diff(to, from);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.first.kind, LB_DIFFERENCE_REMOVED);
	assert_string_equal(seen.path, "services[web].backends[w0]");
	assert_false(lb_config_same_service(&from->services[1], &to->services[1]));
	assert_true(lb_config_same_service(&from->services[0], &to->services[0]));
	lb_config_free(from);
	lb_config_free(to);
}

static void one_key_can_be_compared_alone(void **state)
{
	struct lb_config *from = parse(TEXT), *to = with("fd00:77::/64", "fd00:78::/64");

	assert_false(lb_config_same_key(from, to, "tunnel_source"));
	assert_true(lb_config_same_key(from, to, "services"));
	assert_true(lb_config_same_key(from, from, "tunnel_source"));
	lb_config_free(from);
	lb_config_free(to);
}

static int stop(void *context, const struct lb_difference *difference)
{
	++*(int *)context;
	return -7;
}

static void a_listener_can_stop_it(void **state)
{
	struct lb_config *from = parse(TEXT), *to = with("\"s3cret\"", "\"other\"");
	int calls = 0;

	to->limits.services++;
	assert_int_equal(lb_config_diff(from, to, stop, &calls), -7);
	assert_int_equal(calls, 1);
	lb_config_free(from);
	lb_config_free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_the_schema_is_compared),
		cmocka_unit_test(changes_are_told_with_path_and_values),
		cmocka_unit_test(order_is_no_difference),
		cmocka_unit_test(one_element_more_is_one_difference),
		cmocka_unit_test(one_key_can_be_compared_alone),
		cmocka_unit_test(a_listener_can_stop_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("config_diff", tests, NULL, NULL);
}
