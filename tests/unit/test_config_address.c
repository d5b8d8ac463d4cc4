// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses and prefixes: what is taken, what is not, and that printing gives back what was parsed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static void addresses_print_in_their_canonical_form(void **state)
{
	static const struct {
		const char *text;
		const char *printed;
		__u8 family;
	} cases[] = {
		{ "0.0.0.0", "0.0.0.0", LB_FAMILY_V4 },
		{ "203.0.113.10", "203.0.113.10", LB_FAMILY_V4 },
		{ "255.255.255.255", "255.255.255.255", LB_FAMILY_V4 },
		{ "::", "::", LB_FAMILY_V6 },
		{ "::1", "::1", LB_FAMILY_V6 },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1", LB_FAMILY_V6 },
		{ "2001:db8:0:1::", "2001:db8:0:1::", LB_FAMILY_V6 },
		{ "64:ff9b::192.0.2.33", "64:ff9b::c000:221", LB_FAMILY_V6 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  LB_FAMILY_V6 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_address address, again;
		char text[LB_ADDRESS_TEXT_MAX];

		assert_int_equal(lb_address_parse(cases[i].text, &address), 0);
		assert_int_equal(address.family, cases[i].family);
		assert_string_equal(lb_address_text(&address, text), cases[i].printed);
		assert_int_equal(lb_address_parse(text, &again), 0);
		assert_memory_equal(&address, &again, sizeof(address));
	}
}

static void no_address_prints_a_dash(void **state)
{
	struct lb_address address = { 0 };
	char text[LB_ADDRESS_TEXT_MAX];

	assert_string_equal(lb_address_text(&address, text), "-");
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"1.2.3.04",
		"01.2.3.4",
		"1.2.3.-4",
		"1.2.3.4 ",
		" 1.2.3.4",
		"1.2.3.4/32",
		"0x7f.0.0.1",
		"1.2.3.4:80",
		"localhost",
		":",
		":::",
		"1::2::3",
		"12345::",
		"::g",
		"::1%lo",
		"[::1]",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"::1.2.3.256",
	};
	struct lb_address address = { .family = 77 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (lb_address_parse(cases[i], &address) != -EINVAL)
			fail_msg("\"%s\" was taken", cases[i]);
		assert_int_equal(address.family, 77);
	}
}

static void random_addresses_survive_printing(void **state)
{
	srandom(20240601);
	for (int i = 0; i < 20000; i++) {
		struct lb_address address = { .family = i % 2 ? LB_FAMILY_V4 : LB_FAMILY_V6 }, again;
		char text[LB_ADDRESS_TEXT_MAX];

		/* Zeros are what :: is about: make them frequent. */
		for (int j = 0; j < (i % 2 ? 4 : 16); j++)
			address.bytes[j] = random() % 3 ? 0 : (__u8)random();
		assert_int_equal(lb_address_parse(lb_address_text(&address, text), &again), 0);
		assert_memory_equal(&address, &again, sizeof(address));
		assert_true(lb_address_equal(&address, &again));
		again.bytes[i % 4] ^= 1;
		assert_false(lb_address_equal(&address, &again));
	}
}

static void addresses_of_two_families_differ(void **state)
{
	struct lb_address four, six;

	assert_int_equal(lb_address_parse("32.1.13.184", &four), 0);
	assert_int_equal(lb_address_parse("2001:db8::", &six), 0);
	assert_memory_equal(four.bytes, six.bytes, 16);
	assert_false(lb_address_equal(&four, &six));
}

static void prefixes_print_as_they_were_parsed(void **state)
{
	static const struct {
		const char *text;
		const char *printed;
		__u8 length;
	} cases[] = {
		{ "203.0.113.0/24", "203.0.113.0/24", 24 },
		{ "203.0.113.10", "203.0.113.10", 32 },
		{ "203.0.113.10/32", "203.0.113.10", 32 },
		{ "128.0.0.0/1", "128.0.0.0/1", 1 },
		{ "0.0.0.0/0", "0.0.0.0/0", 0 },
		{ "2001:db8::/33", "2001:db8::/33", 33 },
		{ "2001:db8::1/128", "2001:db8::1", 128 },
		{ "::/0", "::/0", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[LB_PREFIX_TEXT_MAX];
		struct lb_prefix prefix;

		assert_int_equal(lb_prefix_parse(cases[i].text, &prefix), 0);
		assert_int_equal(prefix.length, cases[i].length);
		assert_string_equal(lb_prefix_text(&prefix, text), cases[i].printed);
	}
}

static void what_is_no_prefix_is_refused(void **state)
{
	static const char *const wrong[] = { "",
					     "/",
					     "/8",
					     "10.0.0.0/",
					     "10.0.0.0/33",
					     "10.0.0.0/08",
					     "10.0.0.0/+8",
					     "10.0.0.0/ 8",
					     "10.0.0.0/8/8",
					     "10.0.0.0/1e1",
					     "fd00::/129",
					     "fd00::/1000",
					     "10/8",
					     "x/8" };
	static const char *const host_bits[] = { "10.0.0.1/31", "10.0.0.1/0", "203.0.113.128/24",
						 "fd00::1/127", "fd00::/7",   "2001:db8:8000::/32" };
	char much[300];
	struct lb_prefix prefix;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (lb_prefix_parse(wrong[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
	}
	for (size_t i = 0; i < sizeof(host_bits) / sizeof(host_bits[0]); i++) {
		if (lb_prefix_parse(host_bits[i], &prefix) != -EDOM)
			fail_msg("\"%s\" was not found to have host bits", host_bits[i]);
	}
	memset(much, '1', sizeof(much) - 1);
	much[sizeof(much) - 1] = 0;
	assert_int_equal(lb_prefix_parse(much, &prefix), -EINVAL);
}

static bool contains(const char *prefix_text, const char *address_text)
{
	struct lb_address address;
	struct lb_prefix prefix;

	assert_int_equal(lb_prefix_parse(prefix_text, &prefix), 0);
	assert_int_equal(lb_address_parse(address_text, &address), 0);
	return lb_prefix_contains(&prefix, &address);
}

static void prefixes_contain_their_addresses_only(void **state)
{
	assert_true(contains("203.0.113.0/25", "203.0.113.127"));
	assert_false(contains("203.0.113.0/25", "203.0.113.128"));
	assert_true(contains("203.0.113.7", "203.0.113.7"));
	assert_false(contains("203.0.113.7", "203.0.113.6"));
	assert_true(contains("0.0.0.0/0", "8.8.8.8"));
	assert_false(contains("0.0.0.0/0", "2001:db8::1"));
	assert_true(contains("2001:db8::/33", "2001:db8:7fff:ffff::1"));
	assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(contains("::/0", "2001:db8::1"));
	/* Family and every bit count. */
	for (unsigned int length = 1; length <= 128; length++) {
		struct lb_prefix prefix = { .address.family = LB_FAMILY_V6, .length = (__u8)length };
		struct lb_address address = prefix.address;

		for (unsigned int bit = 0; bit < 128; bit++) {
			address.bytes[bit / 8] ^= (__u8)(0x80 >> bit % 8);
			assert_int_equal(lb_prefix_contains(&prefix, &address), bit >= length);
			address.bytes[bit / 8] ^= (__u8)(0x80 >> bit % 8);
		}
		assert_true(lb_prefix_contains(&prefix, &address));
		address.family = LB_FAMILY_V4;
		assert_false(lb_prefix_contains(&prefix, &address));
	}
}

static void masks_clear_what_is_behind_them(void **state)
{
	struct lb_address ones = { .family = LB_FAMILY_V6 };

	memset(ones.bytes, 0xff, sizeof(ones.bytes));
	for (unsigned int length = 0; length <= 128; length++) {
		struct lb_address masked = ones;

		lb_address_mask(&masked, length);
		for (unsigned int bit = 0; bit < 128; bit++)
			assert_int_equal(masked.bytes[bit / 8] >> (7 - bit % 8) & 1, bit < length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_print_in_their_canonical_form),
		cmocka_unit_test(no_address_prints_a_dash),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(random_addresses_survive_printing),
		cmocka_unit_test(addresses_of_two_families_differ),
		cmocka_unit_test(prefixes_print_as_they_were_parsed),
		cmocka_unit_test(what_is_no_prefix_is_refused),
		cmocka_unit_test(prefixes_contain_their_addresses_only),
		cmocka_unit_test(masks_clear_what_is_behind_them),
	};

	return cmocka_run_group_tests_name("config_address", tests, NULL, NULL);
}
