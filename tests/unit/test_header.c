// SPDX-License-Identifier: GPL-2.0-only
/*
 * Outer header templates, byte for byte, for every method and family, and the arithmetic that the packet path
 * does with them: sum, patch, fold, complement gives the checksum of RFC 1071.
 */
#include "engine_fixture.h"

#include <arpa/inet.h>

#include "lb/checksum.h"

static const __u8 mac_to[6] = { 2, 0, 0, 0, 0, 1 }, mac_from[6] = { 2, 0, 0, 0, 0, 2 };

static struct lb_nexthop hop(const char *source)
{
	struct lb_nexthop next = { .resolved = true, .port = 5, .mtu = 1500 };

	memcpy(next.destination, mac_to, 6);
	memcpy(next.source, mac_from, 6);
	next.source_address = fixture_address(source);
	return next;
}

static struct lb_prefix prefix(const char *text)
{
	struct lb_prefix parsed;

	assert_int_equal(lb_prefix_parse(text, &parsed), 0);
	return parsed;
}

static struct lb_backend make(enum lb_forward forward, __u8 family, const char *to, const char *source,
			      const struct lb_prefix *v4, const struct lb_prefix *v6)
{
	const struct lb_header_rules rules = {
		.forward = forward, .vip_family = family, .source_v4 = v4, .source_v6 = v6
	};
	struct lb_address address = fixture_address(to);
	struct lb_nexthop next = hop(source);
	struct lb_backend record;

	lb_header_build(&rules, &address, &next, 77, false, &record);
	assert_int_equal(record.counter, 77);
	assert_int_equal(record.flags, LB_BACKEND_USED);
	assert_int_equal(record.port, 5);
	return record;
}

static void check_ethernet(const struct lb_backend *record, __u16 type)
{
	assert_memory_equal(record->eth, mac_to, 6);
	assert_memory_equal(record->eth + 6, mac_from, 6);
	assert_int_equal(record->eth[12] << 8 | record->eth[13], type);
}

/* What a receiver computes over the finished header must be zero. */
static void check_sum(const struct lb_backend *record, __u8 tos, __u16 length, __u32 source_bits)
{
	__u8 ip[20];
	__u32 sum;
	__u16 word, check;
	__be32 source;

	memcpy(ip, record->ip, 20);
	memcpy(&check, ip + 10, 2);
	ip[1] = tos;
	word = htons(length);
	memcpy(ip + 2, &word, 2);
	memcpy(&source, ip + 12, 4);
	assert_int_equal(source & htonl(source_bits), 0);
	source |= htonl(source_bits);
	memcpy(ip + 12, &source, 4);
	/* The packet path: the template's sum, and what it put in. */
	memcpy(&word, ip, 2);
	sum = check + htons(tos) + htons(length);
	sum = lb_csum_add32(sum, htonl(source_bits));
	word = (__u16)~lb_csum_fold(sum);
	memcpy(ip + 10, &word, 2);
	sum = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (__u32)(ip[i] << 8 | ip[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

static void test_ipv4(void **state)
{
	static const __u8 expected[20] = { 0x45, 0,    0,   0,  0, 0, 0x40, 0, 64, 4,
					   0x67, 0x3d, 172, 16, 0, 0, 10,   0, 1,  11 };
	const struct lb_prefix source = prefix("172.16.0.0/16"), none = {};
	struct lb_backend record =
		make(LB_FORWARD_IPIP, LB_FAMILY_V4, "10.0.1.11", "10.9.9.9", &source, &none);
	__u32 sum = 0x4500 + 0x4000 + 0x4004 + 0xac10 + 0x0a00 + 0x010b;

	(void)state;
	assert_int_equal(record.method, LB_METHOD_IPIP_V4);
	assert_int_equal(record.max_len, 1480);
	check_ethernet(&record, 0x0800);
	assert_memory_equal(record.ip, expected, 10);
	assert_memory_equal(record.ip + 12, expected + 12, 8);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(record.ip[10] << 8 | record.ip[11], sum);
	for (int i = 20; i < 40; i++)
		assert_int_equal(record.ip[i], 0);
	check_sum(&record, 0, 60, 0);
	check_sum(&record, 0xb9, 1500, 0xffff);
	check_sum(&record, 0xff, 0xffff, 0x8001);

	record = make(LB_FORWARD_IPIP, LB_FAMILY_V6, "10.0.1.11", "10.9.9.9", &none, &none);
	assert_int_equal(record.method, LB_METHOD_IPIP_V4);
	assert_int_equal(record.ip[9], IPPROTO_IPV6);
	assert_memory_equal(record.ip + 12, ((__u8[4]){ 10, 9, 9, 9 }), 4);
	check_ethernet(&record, 0x0800);
	check_sum(&record, 1, 1, 0);

	record = make(LB_FORWARD_GUE, LB_FAMILY_V4, "10.0.1.11", "10.9.9.9", &source, &none);
	assert_int_equal(record.method, LB_METHOD_GUE_V4);
	assert_int_equal(record.max_len, 1472);
	assert_int_equal(record.ip[9], IPPROTO_UDP);
	check_sum(&record, 0, 100, 0x1234);
}

static void test_ipv6(void **state)
{
	static const __u8 expected[40] = { 0x60, 0, 0, 0, 0, 0, 41, 64, 0xfd, 0x00, 0,    0x77, 0,    0,
					   0,    0, 0, 0, 0, 0, 0,  0,  0,    0,    0x20, 0x01, 0x0d, 0xb8,
					   0,    0, 0, 0, 0, 0, 0,  0,  0,    0,    0,    0x11 };
	const struct lb_prefix source = prefix("fd00:77::/64"), none = {};
	struct lb_backend record =
		make(LB_FORWARD_IPIP, LB_FAMILY_V6, "2001:db8::11", "2001:db8::99", &none, &source);

	(void)state;
	assert_int_equal(record.method, LB_METHOD_IPIP_V6);
	assert_int_equal(record.max_len, 1460);
	check_ethernet(&record, 0x86dd);
	assert_memory_equal(record.ip, expected, 40);

	record = make(LB_FORWARD_IPIP, LB_FAMILY_V4, "2001:db8::11", "2001:db8::99", &none, &none);
	assert_int_equal(record.ip[6], IPPROTO_IPIP);
	assert_int_equal(record.ip[23], 0x99);
	record = make(LB_FORWARD_GUE, LB_FAMILY_V6, "2001:db8::11", "2001:db8::99", &none, &source);
	assert_int_equal(record.method, LB_METHOD_GUE_V6);
	assert_int_equal(record.max_len, 1452);
	assert_int_equal(record.ip[6], IPPROTO_UDP);
}

static void test_l2(void **state)
{
	const struct lb_prefix none = {};
	struct lb_backend record = make(LB_FORWARD_L2, LB_FAMILY_V4, "10.0.1.11", "10.9.9.9", &none, &none);

	(void)state;
	assert_int_equal(record.method, LB_METHOD_L2);
	assert_int_equal(record.max_len, 1500);
	check_ethernet(&record, 0x0800);
	for (int i = 0; i < 40; i++)
		assert_int_equal(record.ip[i], 0);
	/* The type is that of what is forwarded, not of the backend's address. */
	record = make(LB_FORWARD_L2, LB_FAMILY_V6, "10.0.1.11", "10.9.9.9", &none, &none);
	check_ethernet(&record, 0x86dd);
}

static void test_unresolved(void **state)
{
	const struct lb_prefix none = {};
	const struct lb_header_rules rules = {
		.forward = LB_FORWARD_IPIP, .vip_family = LB_FAMILY_V4, .source_v4 = &none, .source_v6 = &none
	};
	struct lb_address address = fixture_address("10.0.1.11");
	struct lb_nexthop next = hop("10.9.9.9");
	struct lb_backend record, expected = { .counter = 5, .flags = LB_BACKEND_USED | LB_BACKEND_DEAD };

	(void)state;
	next.resolved = false;
	lb_header_build(&rules, &address, &next, 5, true, &record);
	assert_memory_equal(&record, &expected, sizeof(record));
	/* Resolved, but no outer source of the family. */
	next = hop("2001:db8::1");
	lb_header_build(&rules, &address, &next, 5, true, &record);
	assert_memory_equal(&record, &expected, sizeof(record));
	/* The same interface: TX. An MTU that no header fits: nothing fits. */
	next = hop("10.9.9.9");
	next.same_interface = true;
	next.mtu = 19;
	lb_header_build(&rules, &address, &next, 5, false, &record);
	assert_int_equal(record.flags, LB_BACKEND_USED | LB_BACKEND_TX);
	assert_int_equal(record.max_len, 0);
}

static void test_source_masks(void **state)
{
	const struct lb_prefix none = {};
	static const struct {
		const char *text;
		__u32 mask;
	} rows[] = { { "172.16.0.0/16", 0xffff },
		     { "10.0.0.1", 0 },
		     { "0.0.0.0/0", 0xffffffff },
		     { "fd00::/64", 0xffffffff },
		     { "fd00::/96", 0xffffffff },
		     { "fd00::/120", 0xff },
		     { "fd00::1", 0 } };

	(void)state;
	assert_int_equal(lb_header_source_mask(&none), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lb_prefix source = prefix(rows[i].text);

		assert_int_equal(lb_header_source_mask(&source), htonl(rows[i].mask));
	}
}

/* The fast path turns away what is to be tagged; nothing is lost of what forwards it. */
static void test_tagged(void **state)
{
	static const enum lb_forward all[] = { LB_FORWARD_L2, LB_FORWARD_IPIP, LB_FORWARD_GUE };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		const struct lb_prefix none = {};
		const struct lb_header_rules rules = {
			.forward = all[i], .vip_family = LB_FAMILY_V4, .source_v4 = &none, .source_v6 = &none
		};
		struct lb_address address = fixture_address("10.0.1.11");
		struct lb_nexthop next = hop("10.9.9.9");
		struct lb_backend plain, tagged;

		lb_header_build(&rules, &address, &next, 77, false, &plain);
		next.tagged = true;
		lb_header_build(&rules, &address, &next, 77, false, &tagged);
		assert_int_equal(tagged.flags, plain.flags | LB_BACKEND_TAGGED);
		assert_int_equal(tagged.max_len, 0);
		assert_true(plain.max_len > 0);
		assert_int_equal(lb_backend_max_len(&tagged), plain.max_len);
		assert_int_equal(lb_backend_max_len(&plain), plain.max_len);
		assert_int_equal(tagged.method, plain.method);
		assert_memory_equal(tagged.eth, plain.eth, LB_BACKEND_TYPE);
		assert_memory_equal(tagged.ip, plain.ip, sizeof(plain.ip));
		next.local = true;
		lb_header_build(&rules, &address, &next, 77, false, &tagged);
		assert_int_equal(tagged.flags & LB_BACKEND_TAGGED, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),       cmocka_unit_test(test_tagged),
		cmocka_unit_test(test_ipv6),       cmocka_unit_test(test_l2),
		cmocka_unit_test(test_unresolved), cmocka_unit_test(test_source_masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
