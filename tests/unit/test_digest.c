// SPDX-License-Identifier: GPL-2.0-only
/*
 * Digests that balancers compare: what makes rings differ changes them, what does not does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "ring/digest.h"

/* The vectors of the paper's reference code: key 00..0f, message 00, 01, ... */
static void siphash_vectors(void **state)
{
	static const __u64 want[] = { 0x726fdb47dd0e0e31ull, 0x74f839c593dc67fdull, 0x0d6c8009d9a94f5aull };
	struct lb_digest_key key = { { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull } };
	__u8 message[15];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (__u8)i;
	for (size_t n = 0; n < 3; n++)
		assert_int_equal(lb_siphash(&key, message, n), want[n]);
	assert_int_equal(lb_siphash(&key, message, 15), 0xa129ca6149be45e5ull);
}

#define A "{'name':'a','address':'10.0.0.1'}"
#define B "{'name':'b','address':'10.0.0.2','weight':50}"
#define SERVICE(more, backends)                                                                              \
	"{'version':1,'hash_seed':'s','interfaces':[{'name':'eth0'}],'services':[{'name':'web','vip':'203."  \
	"0.113.10',"                                                                                         \
	"'protocol':'tcp','port':443" more ",'backends':[" backends "]}]}"

static __u64 digest(const char *text, __u32 slots)
{
	struct lb_digest_key key;
	struct lb_config *config;
	struct lb_error error = {};
	char *json = strdup(text);
	__u64 value;

	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (lb_config_parse(json, strlen(json), &config, &error) < 0)
		fail_msg("%s", error.text);
	lb_digest_key(config->hash_seed, &key);
	value = lb_digest_of_service(&key, &config->services[0], slots);
	lb_config_free(config);
	free(json);
	return value;
}

static void what_makes_rings_differ(void **state)
{
	const __u64 plain = digest(SERVICE("", A "," B), 4096);
	const struct {
		const char *what, *text;
		__u32 slots;
	} others[] = {
		{ "ring size", SERVICE("", A "," B), 8192 },
		{ "a backend less", SERVICE("", A), 4096 },
		{ "a weight", SERVICE("", A ",{'name':'b','address':'10.0.0.2','weight':51}"), 4096 },
		{ "a state", SERVICE("", A ",{'name':'b','address':'10.0.0.2','weight':50,'state':'drain'}"),
		  4096 },
		{ "an address", SERVICE("", A ",{'name':'b','address':'10.0.0.3','weight':50}"), 4096 },
		{ "names that are swapped",
		  SERVICE("",
			  "{'name':'b','address':'10.0.0.1'},{'name':'a','address':'10.0.0.2','weight':50}"),
		  4096 },
		{ "a ring of another name", SERVICE(",'ring':'other'", A "," B), 4096 },
		{ "algorithm", SERVICE(",'algorithm':'ring'", A "," B), 4096 },
		{ "affinity", SERVICE(",'affinity':'source'", A "," B), 4096 },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (digest(others[i].text, others[i].slots) == plain)
			fail_msg("not seen: %s", others[i].what);
	assert_int_equal(digest(SERVICE("", B "," A), 4096), plain);
	assert_int_equal(
		digest(SERVICE(",'drain_limit_s':77,'health':{'check':{'kind':'tcp'}}", A "," B), 4096),
		plain);
}

static void seeds_and_words(void **state)
{
	struct lb_digest_key one, two;
	struct lb_words words = {};
	struct lb_word word = {
		.service = "web", .backend = "a", .key = LB_WORD_STATE, .value = LB_STATE_DRAIN
	};
	__u64 none, before;

	lb_digest_key("one", &one);
	lb_digest_key("two", &two);
	assert_true(lb_digest_of_key(&one) != lb_digest_of_key(&two));
	none = lb_digest_of_words(&one, &words, 100);
	word.until_s = 200;
	word.uid = 5;
	assert_int_equal(lb_words_set(&words, &word), 0);
	before = lb_digest_of_words(&one, &words, 100);
	assert_true(before != none);
	assert_int_equal(lb_digest_of_words(&one, &words, 200), none);
	word.uid = 6;
	word.since_s = 77;
	lb_words_set(&words, &word);
	assert_int_equal(lb_digest_of_words(&one, &words, 100), before);
	lb_words_done(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(what_makes_rings_differ),
		cmocka_unit_test(seeds_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
