// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VIP table: every key is found as packets look for it, nothing else is, up to thousands of services, and
 * wildcard services in the order of how specific they are.
 */
#include "engine_fixture.h"

#include <arpa/inet.h>

#include "lb/vip.h"

static struct lb_service_key key_of(const char *vip, __u16 first, __u16 last)
{
	struct lb_service_key key = { .protocol = IPPROTO_TCP, .port_first = first, .port_last = last };

	assert_int_equal(lb_prefix_parse(vip, &key.vip), 0);
	return key;
}

static const __u64 seed[LB_HASH_WORDS] = { 0x243f6a8885a308d3ull, 0x13198a2e03707344ull,
					   0xa4093822299f31d0ull, 0x082efa98ec4e6c89ull,
					   0x452821e638d01377ull, 0xbe5466cf34e90c6cull };

struct bank {
	struct lb_vip *buckets;
	struct lb_vip_item *items;
	struct lb_vip_layout layout;
};

static int build(struct bank *bank, const struct lb_service_key *keys, size_t n, __u32 max_buckets,
		 __u32 clash[2])
{
	__u64 words[LB_VIP_KEYS_MAX][3];
	size_t n_items = 0;
	int r;

	memset(bank, 0, sizeof(*bank));
	bank->items = calloc(n * LB_VIP_KEYS_MAX + 1, sizeof(*bank->items));
	bank->buckets = calloc(max_buckets, sizeof(*bank->buckets));
	assert_true(bank->items && bank->buckets);
	for (size_t i = 0; i < n; i++) {
		size_t n_keys = lb_vip_expand(&keys[i], words);

		for (size_t k = 0; k < n_keys; k++) {
			memcpy(bank->items[n_items].key, words[k], sizeof(words[k]));
			bank->items[n_items++].owner = (__u32)i;
		}
	}
	r = lb_vip_layout_build(seed, bank->items, n_items, max_buckets, &bank->layout, clash);
	for (size_t i = 0; r == 0 && i < n_items; i++) {
		struct lb_vip *vip = &bank->buckets[bank->items[i].bucket];

		assert_int_equal(vip->flags, 0);
		vip->flags = LB_VIP_USED;
		vip->service = (__u16)bank->items[i].owner;
		memcpy(vip->key, bank->items[i].key, sizeof(vip->key));
	}
	return r;
}

static void done(struct bank *bank)
{
	free(bank->buckets);
	free(bank->items);
}

/* Which service a packet finds; -1: none. */
static int find(const struct bank *bank, const char *address, __u16 port)
{
	struct lb_address parsed = fixture_address(address);
	const struct lb_vip *vip = lb_vip_resolve(seed, bank->buckets, bank->layout.log2, &bank->layout.bank,
						  &parsed, IPPROTO_TCP, port);

	return vip ? vip->service : -1;
}

static void test_words(void **state)
{
	struct lb_service_key key = key_of("203.0.113.10", 443, 443);
	__u64 keys[LB_VIP_KEYS_MAX][3];
	__u8 bytes[24];

	(void)state;
	assert_int_equal(lb_vip_expand(&key, keys), 1);
	memcpy(bytes, keys[0], sizeof(bytes));
	assert_memory_equal(bytes, ((__u8[24]){ 203, 0, 113, 10, [16] = 0x01, 0xbb, 6, 4 }), 24);
	key = key_of("2001:db8:1:2:3:4:5:6", 80, 80);
	assert_int_equal(lb_vip_expand(&key, keys), 1);
	memcpy(bytes, keys[0], sizeof(bytes));
	assert_memory_equal(
		bytes,
		((__u8[24]){ 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 80, 6, 6 }), 24);
	/* A prefix is masked in memory order. */
	key = key_of("2001:db8:1:2::/63", 0, 65535);
	assert_int_equal(lb_vip_expand(&key, keys), 1);
	memcpy(bytes, keys[0], sizeof(bytes));
	assert_memory_equal(bytes, ((__u8[24]){ 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, [18] = 6, 6, 63, 0 }),
			    24);
}

static void test_masks(void **state)
{
	const struct lb_shape v4 = { .family = LB_FAMILY_V4, .address_bits = 20, .port_bits = 5, .used = 1 };
	const struct lb_shape v6 = { .family = LB_FAMILY_V6, .address_bits = 77, .port_bits = 16, .used = 1 };
	__u8 in[16], out[24];
	__u64 words[2] = {}, masked[3];

	(void)state;
	memset(in, 0xff, sizeof(in));
	memcpy(words, in, 4);
	lb_vip_mask(&v4, words[0], 0, htons(0xffff), IPPROTO_UDP, masked);
	memcpy(out, masked, sizeof(out));
	assert_memory_equal(out, ((__u8[24]){ 255, 255, 0xf0, [16] = 0xf8, 0, 17, 4, 20, 5 }), 24);
	memcpy(words, in, 16);
	lb_vip_mask(&v6, words[0], words[1], htons(0x1234), IPPROTO_TCP, masked);
	memcpy(out, masked, sizeof(out));
	assert_memory_equal(out,
			    ((__u8[24]){ 255, 255, 255, 255, 255, 255, 255, 255, 255, 0xf8, [16] = 0x12, 0x34,
					 6, 6, 77, 16 }),
			    24);
	for (unsigned int bits = 0; bits <= 64; bits++) {
		__u64 mask = lb_vip_mask64(bits);

		memcpy(out, &mask, 8);
		for (unsigned int i = 0; i < 64; i++)
			assert_int_equal(out[i / 8] >> (7 - i % 8) & 1, i < bits);
	}
}

static void test_thousands(void **state)
{
	enum { SERVICES = 5000 };
	struct lb_service_key *keys = calloc(SERVICES, sizeof(*keys));
	struct bank bank;
	__u32 clash[2];
	char text[64];

	(void)state;
	assert_non_null(keys);
	for (int i = 0; i < SERVICES; i++) {
		/* Regular, as people number their services: one address with many ports, and the other way.
		 */
		if (i % 3 == 0)
			snprintf(text, sizeof(text), "198.51.%d.%d", i / 256 % 256, i % 256);
		else if (i % 3 == 1)
			snprintf(text, sizeof(text), "203.0.113.10");
		else
			snprintf(text, sizeof(text), "2001:db8::%x", i);
		keys[i] = key_of(text, (__u16)(i % 3 == 1 ? 1000 + i : 443),
				 (__u16)(i % 3 == 1 ? 1000 + i : 443));
	}
	assert_int_equal(build(&bank, keys, SERVICES, LB_VIP_BUCKETS, clash), 0);
	assert_true(bank.layout.log2 >= 14);
	assert_false(bank.layout.wildcard);
	print_message("# %d services in 2^%u buckets\n", SERVICES, bank.layout.log2);
	for (int i = 0; i < SERVICES; i++) {
		assert_int_equal(find(&bank, lb_address_text(&keys[i].vip.address, text), keys[i].port_first),
				 i);
		assert_int_equal(find(&bank, text, 7), -1);
	}
	assert_int_equal(find(&bank, "192.0.2.1", 443), -1);
	done(&bank);
	/* As many as fit: the table says when it is full, and never places a key out of reach. */
	for (int n = 16; n <= 64; n += 4) {
		int r = build(&bank, keys, (size_t)n, 64, clash);

		assert_true(r == 0 || (r == -ENOSPC && n > 32));
		for (int i = 0; r == 0 && i < n; i++)
			assert_int_equal(
				find(&bank, lb_address_text(&keys[i].vip.address, text), keys[i].port_first),
				i);
		done(&bank);
	}
	free(keys);
}

static void test_wildcards(void **state)
{
	const struct lb_service_key keys[] = {
		key_of("203.0.113.10", 443, 443),    key_of("203.0.113.10", 0, 65535),
		key_of("203.0.113.0/24", 443, 443),  key_of("203.0.113.0/24", 1000, 2999),
		key_of("203.0.0.0/16", 0, 65535),    key_of("2001:db8::/32", 80, 80),
		key_of("2001:db8:0:1::/64", 80, 81), key_of("2001:db8::5", 80, 80),
		key_of("192.0.2.1", 5000, 5002),
	};
	struct bank bank;
	__u32 clash[2];

	(void)state;
	assert_int_equal(build(&bank, keys, sizeof(keys) / sizeof(keys[0]), 256, clash), 0);
	assert_true(bank.layout.wildcard);
	assert_int_equal(find(&bank, "203.0.113.10", 443), 0);
	assert_int_equal(find(&bank, "203.0.113.10", 444), 1);
	assert_int_equal(find(&bank, "203.0.113.11", 443), 2);
	assert_int_equal(find(&bank, "203.0.113.11", 999), 4);
	assert_int_equal(find(&bank, "203.0.113.11", 1000), 3);
	assert_int_equal(find(&bank, "203.0.113.11", 2999), 3);
	assert_int_equal(find(&bank, "203.0.113.11", 3000), 4);
	assert_int_equal(find(&bank, "203.1.113.11", 443), -1);
	assert_int_equal(find(&bank, "2001:db8::5", 80), 7);
	assert_int_equal(find(&bank, "2001:db8::6", 80), 5);
	assert_int_equal(find(&bank, "2001:db8:0:1::6", 80), 6);
	assert_int_equal(find(&bank, "2001:db8:0:1::6", 81), 6);
	assert_int_equal(find(&bank, "2001:db8:0:1::6", 82), -1);
	assert_int_equal(find(&bank, "192.0.2.1", 4999), -1);
	for (__u16 port = 5000; port <= 5002; port++)
		assert_int_equal(find(&bank, "192.0.2.1", port), 8);
	assert_int_equal(find(&bank, "192.0.2.1", 5003), -1);
	for (size_t i = 1; bank.layout.bank.shape[i].used; i++)
		assert_true(bank.layout.bank.shape[i - 1].address_bits >=
			    bank.layout.bank.shape[i].address_bits);
	done(&bank);
}

static void test_ranges(void **state)
{
	static const __u16 ranges[][2] = { { 1, 65534 }, { 0, 0 },       { 65535, 65535 },
					   { 1, 2 },     { 1000, 1999 }, { 0, 32767 },
					   { 3, 3 },     { 1023, 1025 }, { 0, 65535 } };
	__u64 keys[LB_VIP_KEYS_MAX][3];

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct lb_service_key key = key_of("192.0.2.1", ranges[i][0], ranges[i][1]);
		struct bank bank;
		__u32 clash[2];
		size_t n = lb_vip_expand(&key, keys);

		assert_in_range(n, 1, LB_VIP_KEYS_MAX);
		assert_int_equal(build(&bank, &key, 1, 64, clash), 0);
		for (__u32 port = 0; port < 65536; port++)
			assert_int_equal(find(&bank, "192.0.2.1", (__u16)port),
					 port >= ranges[i][0] && port <= ranges[i][1] ? 0 : -1);
		done(&bank);
	}
}

static void test_refused(void **state)
{
	struct lb_service_key keys[40] = { key_of("192.0.2.1", 80, 80), key_of("192.0.2.2", 80, 80),
					   key_of("192.0.2.1", 80, 80) };
	struct bank bank;
	__u32 clash[2] = {};
	char text[32];

	(void)state;
	assert_int_equal(build(&bank, keys, 3, 64, clash), -EEXIST);
	assert_int_equal(clash[0], 0);
	assert_int_equal(clash[1], 2);
	done(&bank);
	for (int i = 0; i < 32; i++) {
		snprintf(text, sizeof(text), "2001:db8::/%d", 40 + i);
		keys[i] = key_of(text, 80, 80);
	}
	assert_int_equal(build(&bank, keys, 31, 128, clash), 0);
	done(&bank);
	assert_int_equal(build(&bank, keys, 32, 128, clash), -E2BIG);
	done(&bank);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),     cmocka_unit_test(test_masks),
		cmocka_unit_test(test_thousands), cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_ranges),    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
