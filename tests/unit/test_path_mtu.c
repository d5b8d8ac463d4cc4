// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path MTUs: read from ICMP messages, learned, and forgotten in time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/types.h"
#include "net/path_mtu.h"

static struct lb_address address(const char *text)
{
	struct lb_address address;

	assert_int_equal(lb_address_parse(text, &address), 0);
	return address;
}

static __u16 get_from(const struct lb_path_mtus *table, const char *to, enum lb_mtu_from from)
{
	struct lb_address parsed = address(to);
	enum lb_mtu_from is_from;
	__u16 configured, mtu = lb_path_mtus_get(table, &parsed, &is_from, &configured);

	assert_int_equal(is_from, from);
	return mtu;
}

static __u16 get(const struct lb_path_mtus *table, const char *to, bool learned)
{
	struct lb_address parsed = address(to);
	enum lb_mtu_from from;
	__u16 configured, mtu = lb_path_mtus_get(table, &parsed, &from, &configured);

	assert_int_equal(from == LB_MTU_FROM_ROUTER, learned);
	return mtu;
}

static bool found(struct lb_path_mtus *table, const char *to, __u16 mtu, __u64 now_ms)
{
	struct lb_address parsed = address(to);

	return lb_path_mtus_found(table, &parsed, mtu, now_ms);
}

static int learn(struct lb_path_mtus *table, const char *to, __u32 mtu, __u64 now_ms)
{
	struct lb_address parsed = address(to);

	return lb_path_mtus_learn(table, &parsed, mtu, now_ms);
}

static void configure(struct lb_path_mtus *table, const char *to, __u16 mtu)
{
	struct lb_address parsed = address(to);

	lb_path_mtus_begin(table);
	if (mtu)
		assert_int_equal(lb_path_mtus_configure(table, &parsed, mtu), 0);
	lb_path_mtus_end(table);
}

static void what_is_learned_is_forgotten_in_time(void **state)
{
	struct lb_path_mtus table = {};

	assert_int_equal(learn(&table, "10.0.0.1", 1400, 1000), 1);
	assert_int_equal(get(&table, "10.0.0.1", true), 1400);
	assert_int_equal(get(&table, "10.0.0.2", false), 0);
	assert_int_equal(learn(&table, "10.0.0.1", 1300, 2000), 1);
	/* What was under way already, before the router heard of less. */
	assert_int_equal(learn(&table, "10.0.0.1", 1400, 2001), 0);
	assert_int_equal(get(&table, "10.0.0.1", true), 1300);
	assert_int_equal(learn(&table, "10.0.0.1", 1300, 3000), 0);
	assert_false(lb_path_mtus_age(&table, 3000 + LB_PATH_MTU_AGE_MS - 1));
	assert_int_equal(get(&table, "10.0.0.1", true), 1300);
	assert_true(lb_path_mtus_age(&table, 3000 + LB_PATH_MTU_AGE_MS));
	assert_int_equal(get(&table, "10.0.0.1", false), 0);
	assert_null(table.at);
	assert_false(lb_path_mtus_age(&table, 1ull << 40));
	lb_path_mtus_done(&table);
}

static void there_is_a_floor(void **state)
{
	struct lb_path_mtus table = {};

	assert_int_equal(learn(&table, "10.0.0.1", 551, 1), 0);
	assert_int_equal(learn(&table, "10.0.0.1", 0, 1), 0);
	assert_int_equal(learn(&table, "10.0.0.1", 65536, 1), 0);
	assert_int_equal(learn(&table, "fd00::1", 1279, 1), 0);
	assert_null(table.at);
	assert_int_equal(learn(&table, "10.0.0.1", 552, 1), 1);
	assert_int_equal(learn(&table, "fd00::1", 1280, 1), 1);
	lb_path_mtus_done(&table);
	assert_null(table.at);
}

static void the_lesser_of_learned_and_configured_counts(void **state)
{
	struct lb_path_mtus table = {};

	configure(&table, "10.0.0.1", 1400);
	learn(&table, "10.0.0.1", 1450, 1);
	assert_int_equal(get(&table, "10.0.0.1", false), 1400);
	learn(&table, "10.0.0.1", 1350, 1);
	assert_int_equal(get(&table, "10.0.0.1", true), 1350);
	/* Another configuration takes away what it said, and no more. */
	configure(&table, "10.0.0.1", 0);
	assert_int_equal(get(&table, "10.0.0.1", true), 1350);
	configure(&table, "10.0.0.1", 1400);
	assert_true(lb_path_mtus_age(&table, 1 + LB_PATH_MTU_AGE_MS));
	assert_int_equal(get(&table, "10.0.0.1", false), 1400);
	lb_path_mtus_done(&table);
}

static void what_was_tried_is_known_until_it_is_not_tried_any_more(void **state)
{
	struct lb_path_mtus table = {};

	assert_false(found(&table, "10.0.0.1", 0, 1));
	assert_true(found(&table, "10.0.0.1", 1400, 1));
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_PROBE), 1400);
	assert_false(found(&table, "10.0.0.1", 1400, 1000));
	assert_false(lb_path_mtus_age(&table, 1 + LB_PATH_MTU_AGE_MS));
	assert_true(lb_path_mtus_age(&table, 1000 + LB_PATH_MTU_AGE_MS));
	assert_null(table.at);
	assert_true(found(&table, "10.0.0.1", 1400, 1));
	assert_true(found(&table, "10.0.0.1", 0, 2));
	assert_null(table.at);
	assert_int_equal(table.n_learned, 0);
	lb_path_mtus_done(&table);
}

static void what_fits_proves_a_router_wrong_and_a_router_may_know_of_news(void **state)
{
	struct lb_path_mtus table = {};

	assert_int_equal(learn(&table, "10.0.0.1", 600, 1), 1);
	assert_true(found(&table, "10.0.0.1", 1400, 2));
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_PROBE), 1400);
	assert_int_equal(learn(&table, "10.0.0.1", 1300, 3), 1);
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_ROUTER), 1300);
	assert_true(found(&table, "10.0.0.1", 1290, 4));
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_PROBE), 1290);
	assert_true(found(&table, "10.0.0.1", 0, 5));
	assert_null(table.at);
	/* What is configured stays. */
	configure(&table, "10.0.0.1", 1350);
	assert_false(found(&table, "10.0.0.1", 1400, 6));
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_CONFIGURATION), 1350);
	assert_true(lb_path_mtus_age(&table, 6 + LB_PATH_MTU_AGE_MS));
	assert_int_equal(get_from(&table, "10.0.0.1", LB_MTU_FROM_CONFIGURATION), 1350);
	lb_path_mtus_done(&table);
}

/* Ethernet, IPv4, ICMP, and what it quotes. */
static const __u8 message_v4[] = {
	2,    0, 0, 0,   0, 1, 2,    0,    0,  0, 0, 2, 8,   0,                         /* Ethernet */
	0x45, 0, 0, 56,  0, 0, 0,    0,    64, 1, 0, 0, 192, 0,  2, 99, 172, 16, 3, 4,  /* IPv4 */
	3,    4, 0, 0,   0, 0, 0x05, 0x78,                                              /* MTU 1400 */
	0x45, 0, 5, 220, 0, 0, 0x40, 0,    63, 4, 0, 0, 172, 16, 3, 4,  10,  0,  1, 11, /* the tunnel's */
};
static const __u8 message_v6[] = {
	2,    0,    0, 0, 0, 1,   2,  0,  0, 0, 0,    2, 0x81, 0, 0, 7,    0x86, 0xdd, /* Ethernet, a tag */
	0x60, 0,    0, 0, 0, 88,  58, 64,                                              /* IPv6 */
	0xfd, 0,    0, 0, 0, 0,   0,  0,  0, 0, 0,    0, 0,    0, 0, 0x99, 0xfd, 0x16, 0,    0, 0,
	0,    0,    0, 0, 0, 0,   0,  1,  2, 3, 4,    2, 0,    0, 0, 0,    0,    0x05, 0x14, /* MTU 1300 */
	0x60, 0,    0, 0, 5, 180, 17, 63, /* the tunnel's: GUE */
	0xfd, 0x16, 0, 0, 0, 0,   0,  0,  0, 0, 0,    0, 1,    2, 3, 4,    0xfd, 0,    0,    1, 0,
	0,    0,    0, 0, 0, 0,   0,  0,  0, 0, 0x0b,
};

static void check(const struct lb_path_mtu_told *told, const char *router, const char *source, const char *to,
		  __u32 mtu, bool gue)
{
	char text[LB_ADDRESS_TEXT_MAX];

	assert_string_equal(lb_address_text(&told->router, text), router);
	assert_string_equal(lb_address_text(&told->source, text), source);
	assert_string_equal(lb_address_text(&told->to, text), to);
	assert_int_equal(told->mtu, mtu);
	assert_int_equal(told->gue, gue);
}

static void messages_are_read(void **state)
{
	struct lb_path_mtu_told told;

	assert_int_equal(lb_path_mtu_parse(message_v4, sizeof(message_v4), &told), 0);
	check(&told, "192.0.2.99", "172.16.3.4", "10.0.1.11", 1400, false);
	assert_int_equal(lb_path_mtu_parse(message_v6, sizeof(message_v6), &told), 0);
	check(&told, "fd00::99", "fd16::102:304", "fd00:1::b", 1300, true);
}

/* In memory of just that size: a read beyond is seen. */
static void cut_ones_are_refused(void **state)
{
	const struct {
		const __u8 *bytes;
		size_t n;
	} all[] = { { message_v4, sizeof(message_v4) }, { message_v6, sizeof(message_v6) } };
	struct lb_path_mtu_told told;

	for (int i = 0; i < 2; i++)
		for (size_t n = 0; n < all[i].n; n++) {
			__u8 *cut = malloc(n ? n : 1);

			assert_non_null(cut);
			memcpy(cut, all[i].bytes, n);
			assert_true(lb_path_mtu_parse(cut, n, &told) < 0);
			free(cut);
		}
}

static void others_are_refused(void **state)
{
	/* Offset and value of a byte that makes it something else. */
	static const struct {
		size_t at;
		__u8 value;
	} changes[] = {
		{ 13, 6 }, { 14, 0x55 }, { 14, 0x44 }, { 23, 6 }, { 34, 11 }, { 35, 1 }, { 42, 0x65 }
	};
	struct lb_path_mtu_told told;
	__u8 bytes[sizeof(message_v4)];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		memcpy(bytes, message_v4, sizeof(bytes));
		bytes[changes[i].at] = changes[i].value;
		assert_true(lb_path_mtu_parse(bytes, sizeof(bytes), &told) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_learned_is_forgotten_in_time),
		cmocka_unit_test(there_is_a_floor),
		cmocka_unit_test(the_lesser_of_learned_and_configured_counts),
		cmocka_unit_test(what_was_tried_is_known_until_it_is_not_tried_any_more),
		cmocka_unit_test(what_fits_proves_a_router_wrong_and_a_router_may_know_of_news),
		cmocka_unit_test(messages_are_read),
		cmocka_unit_test(cut_ones_are_refused),
		cmocka_unit_test(others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
