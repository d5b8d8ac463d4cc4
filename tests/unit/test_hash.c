// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hashes of the packet path, statistically: every input bit reaches every output bit (avalanche), and
 * inputs as regular as networks are (sequential clients, sequential or even ports, one subnet, IPv6 privacy
 * and counter addresses) spread over slots and buckets as evenly as chance would (chi-square).
 *
 * Everything is fixed, so a test that passes once passes always. Bounds are five standard deviations.
 */
#include "engine_fixture.h"

#include <arpa/inet.h>
#include <math.h>

#include "lb/hash.h"
#include "lb/vip.h"

/* The fractional part of pi, that of e, and a poor one. */
static const __u64 keys[3][LB_HASH_WORDS] = {
	{ 0x243f6a8885a308d3ull, 0x13198a2e03707344ull, 0xa4093822299f31d0ull, 0x082efa98ec4e6c89ull,
	  0x452821e638d01377ull, 0xbe5466cf34e90c6cull },
	{ 0xb7e151628aed2a6aull, 0xbf7158809cf4f3c7ull, 0x62e7160f38b4da56ull, 0xa784d9045190cfefull,
	  0x324e7738926cfbe5ull, 0xf4bf8d8d8c31d763ull },
	{ ~0ull, 1ull << 63, 1, 1ull << 63 | 1, ~1ull, 3 },
};

static __u64 random_state = 1;

static __u64 random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* 40 bytes of a flow: source, destination, ports, protocol. */
struct input {
	__u64 saddr[2], daddr[2];
	__u32 ports, protocol;
};

typedef __u64 (*hash_function)(const __u64 *key, const struct input *in);

static __u64 hash_v4(const __u64 *key, const struct input *in)
{
	return lb_hash_v4(key, (__u32)in->saddr[0], (__u32)in->daddr[0], in->ports, in->protocol);
}

static __u64 hash_v6(const __u64 *key, const struct input *in)
{
	return lb_hash_v6(key, in->saddr, in->daddr, in->ports, in->protocol);
}

static __u64 hash_vip(const __u64 *key, const struct input *in)
{
	return lb_hash_vip(key, in->daddr[0], in->daddr[1],
			   lb_vip_tail_word((__be16)in->ports, in->protocol, LB_FAMILY_V4, 0, 0));
}

/* Flips every given input bit; counts how often each output bit follows. Worst deviation from one half. */
static double avalanche(hash_function hash, const __u64 *key, const __u16 *bits, size_t n_bits,
			unsigned int output_bits)
{
	enum { SAMPLES = 4000 };
	double worst = 0;

	for (size_t b = 0; b < n_bits; b++) {
		unsigned int flips[64] = { 0 };

		for (int i = 0; i < SAMPLES; i++) {
			struct input in = { .saddr = { random_word(), random_word() },
					    .daddr = { random_word(), random_word() },
					    .ports = (__u32)random_word(),
					    .protocol = (__u32)random_word() & 0xff };
			__u64 before = hash(key, &in), difference;

			((__u8 *)&in)[bits[b] / 8] ^= (__u8)(1u << bits[b] % 8);
			difference = before ^ hash(key, &in);
			for (unsigned int o = 0; o < output_bits; o++)
				flips[o] += difference >> o & 1;
		}
		for (unsigned int o = 0; o < output_bits; o++)
			worst = fmax(worst, fabs((double)flips[o] / SAMPLES - 0.5));
	}
	return worst;
}

static size_t bit_range(__u16 *bits, size_t n, size_t offset_bytes, size_t bytes)
{
	for (size_t i = 0; i < bytes * 8; i++)
		bits[n++] = (__u16)(offset_bytes * 8 + i);
	return n;
}

static void test_avalanche(void **state)
{
	/* Of 300 x 64 fair coins thrown 4000 times each, the worst is off by 0.0395 at five deviations. */
	const double bound = 0.0395;
	__u16 bits[512];
	size_t n = 0;

	(void)state;
	n = bit_range(bits, n, offsetof(struct input, saddr), 4);
	n = bit_range(bits, n, offsetof(struct input, daddr), 4);
	n = bit_range(bits, n, offsetof(struct input, ports), 4);
	for (int k = 0; k < 3; k++) {
		double worst = avalanche(hash_v4, keys[k], bits, n, 64);

		print_message("# v4, key %d: worst output bit flips with 0.5 +- %.4f\n", k, worst);
		assert_true(worst < bound);
	}
	n = bit_range(bits, 0, 0, 36);
	for (int k = 0; k < 3; k++) {
		double worst = avalanche(hash_v6, keys[k], bits, n, 64);

		print_message("# v6, key %d: worst output bit flips with 0.5 +- %.4f\n", k, worst);
		assert_true(worst < bound);
	}
}

static struct input client(__u32 address, __u16 port)
{
	return (struct input){ .saddr = { htonl(address) },
			       .daddr = { htonl(0xcb00710a) },
			       .ports = (__u32)htons(port) << 16 | htons(443),
			       .protocol = IPPROTO_TCP };
}

static struct input client_v6(__u64 high, __u64 low, __u16 port)
{
	struct input in = client(0, port);

	in.saddr[0] = __builtin_bswap64(high);
	in.saddr[1] = __builtin_bswap64(low);
	in.daddr[0] = __builtin_bswap64(0x20010db800000000ull);
	in.daddr[1] = __builtin_bswap64(0x443);
	return in;
}

/* Regular sets of clients; i counts up. */
static struct input sequential_addresses(__u32 i)
{
	return client(0x0a000000 + i, 40000);
}
static struct input sequential_ports(__u32 i)
{
	return client(0x0a000000 + (i >> 16), (__u16)i);
}
static struct input even_ports(__u32 i)
{
	return client(0xc0a80000 + (i >> 14), (__u16)(32768 + 2 * (i & 0x3fff)));
}
static struct input subnet_gateways(__u32 i)
{
	return client(i << 8 | 1, 443);
}
static struct input counters_v6(__u32 i)
{
	return client_v6(0x20010db8000a0000ull, i, 40000);
}
static struct input subnets_v6(__u32 i)
{
	return client_v6(0x2a00000000000000ull + ((__u64)i << 16), 1, 40000);
}
static struct input ports_v6(__u32 i)
{
	return client_v6(0x20010db8000a0000ull, i >> 15, (__u16)(2 * i));
}
static struct input macs_v6(__u32 i)
{
	return client_v6(0xfd00000000000000ull, 0x021122fffe000000ull + (__u64)i * 4, 40000);
}
/* Destinations, for the VIP table. */
static struct input vip_addresses(__u32 i)
{
	return (struct input){ .daddr = { htonl(0xcb000000 + i) }, .ports = htons(443), .protocol = 6 };
}
static struct input vip_ports(__u32 i)
{
	return (struct input){ .daddr = { htonl(0xcb000000 + (i >> 16)) },
			       .ports = htons((__u16)i),
			       .protocol = 6 };
}

static const struct {
	const char *name;
	hash_function hash;
	struct input (*make)(__u32 i);
} regular[] = {
	{ "v4 sequential addresses", hash_v4, sequential_addresses },
	{ "v4 sequential ports", hash_v4, sequential_ports },
	{ "v4 even ports", hash_v4, even_ports },
	{ "v4 one address per /24", hash_v4, subnet_gateways },
	{ "v6 counter addresses", hash_v6, counters_v6 },
	{ "v6 subnets", hash_v6, subnets_v6 },
	{ "v6 even ports", hash_v6, ports_v6 },
	{ "v6 addresses from MACs", hash_v6, macs_v6 },
	{ "VIP sequential addresses", hash_vip, vip_addresses },
	{ "VIP sequential ports", hash_vip, vip_ports },
};

/* Chi-square in standard deviations from its mean, over 2^log2 classes of some of the hash's bits. */
static double evenness(hash_function hash, const __u64 *key, struct input (*make)(__u32 i), unsigned int log2,
		       unsigned int shift)
{
	__u32 classes = 1u << log2, samples = classes * 16;
	__u32 *count = calloc(classes, sizeof(*count));
	double chi = 0, freedom = classes - 1;

	assert_non_null(count);
	for (__u32 i = 0; i < samples; i++) {
		struct input in = make(i);

		count[hash(key, &in) >> shift & (classes - 1)]++;
	}
	for (__u32 c = 0; c < classes; c++)
		chi += ((double)count[c] - 16) * ((double)count[c] - 16) / 16;
	free(count);
	return (chi - freedom) / sqrt(2 * freedom);
}

static void test_evenness(void **state)
{
	static const struct {
		unsigned int log2, shift;
	} places[] = { { 6, 0 }, { 12, 0 }, { 16, 0 }, { 14, 32 } };

	(void)state;
	for (size_t i = 0; i < sizeof(regular) / sizeof(regular[0]); i++) {
		double worst = 0;

		for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
			for (int k = 0; k < (regular[i].hash == hash_vip ? 1 : 3); k++) {
				double off;

				if (regular[i].hash == hash_vip && places[p].shift)
					continue;
				off = evenness(regular[i].hash, keys[k], regular[i].make, places[p].log2,
					       places[p].shift);
				worst = fmax(worst, off);
			}
		}
		print_message("# %s: at worst %+.1f deviations less even than chance\n", regular[i].name,
			      worst);
		assert_true(worst < 5);
	}
}

/* --- flows that an outsider makes for each other -------------------------------------------------- */

#define DIFFERENCE_KEYS 100000

static void random_key(__u64 key[LB_HASH_WORDS])
{
	for (unsigned int i = 0; i < LB_HASH_WORDS; i++)
		key[i] = random_word();
}

/* The bits of a flow that outsiders choose, as numbers in struct input. */
static size_t chosen_bits(hash_function hash, __u16 bits[512])
{
	size_t n, address = hash == hash_v4 ? 4 : 16;

	n = bit_range(bits, 0, offsetof(struct input, saddr), address);
	n = bit_range(bits, n, offsetof(struct input, daddr), address);
	return bit_range(bits, n, offsetof(struct input, ports), 4);
}

static struct input random_flow(void)
{
	return (struct input){ .saddr = { random_word(), random_word() },
			       .daddr = { random_word(), random_word() },
			       .ports = (__u32)random_word(),
			       .protocol = IPPROTO_TCP };
}

static struct input flipped(struct input in, const __u16 *flips, int n)
{
	for (int i = 0; i < n; i++)
		((__u8 *)&in)[flips[i] / 8] ^= (__u8)(1u << flips[i] % 8);
	return in;
}

/*
 * Two flows that differ in the given bits, under many keys: fails if they are ever one, or share the lowest
 * 12 or highest 16 bits much more often than by chance (24.4 and 1.5 of 100,000; the bounds are off by more
 * than six deviations).
 */
static void check_difference(hash_function hash, const __u16 *flips, int n, __u32 n_keys)
{
	struct input a = random_flow(), b = flipped(a, flips, n);
	__u32 low = 0, high = 0;

	for (__u32 k = 0; k < n_keys; k++) {
		__u64 key[LB_HASH_WORDS], difference;

		random_key(key);
		difference = hash(key, &a) ^ hash(key, &b);
		if (!difference)
			fail_msg("bits %u, %u, %u: one flow to key %u", flips[0], flips[1], flips[2], k);
		low += !(difference & 0xfff);
		high += !(difference >> 48);
	}
	if (low > n_keys / 4096 + 32 || high > n_keys / 65536 + 14)
		fail_msg("bits %u, %u, %u (%d of them): low bits agree %u times, high ones %u", flips[0],
			 flips[1], flips[2], n, low, high);
}

/* Where arithmetic modulo powers of two is weak: the top of every half word, and the bottom. */
static bool is_weak(__u16 bit)
{
	return bit % 32 == 31 || bit % 32 == 0;
}

static void check_differences(hash_function hash)
{
	__u16 bits[512], weak[64], flips[3] = { 0 };
	size_t n = chosen_bits(hash, bits), n_weak = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_weak(bits[i]))
			weak[n_weak++] = bits[i];
	}
	/* Every single bit; all of two and three where they might make up for each other; others at random.
	 */
	for (size_t i = 0; i < n; i++)
		check_difference(hash, &bits[i], 1, DIFFERENCE_KEYS / 10);
	for (size_t i = 0; i < n_weak; i++) {
		for (size_t j = 0; j < i; j++) {
			flips[0] = weak[i];
			flips[1] = weak[j];
			check_difference(hash, flips, 2, DIFFERENCE_KEYS);
		}
	}
	for (int i = 0; i < 20000; i++) {
		int k = 2 + (i & 1);

		for (int f = 0; f < k; f++)
			flips[f] = i % 4 < 2 ? weak[random_word() % n_weak] : bits[random_word() % n];
		if (flips[0] != flips[1] && flips[1] != flips[2] && flips[0] != flips[2])
			check_difference(hash, flips, k, DIFFERENCE_KEYS / 100);
	}
}

static void test_differences(void **state)
{
	(void)state;
	check_differences(hash_v4);
	check_differences(hash_v6);
}

/*
 * A client of a prefix service chooses its destination, too. Whatever a difference in one word adds, a
 * difference in another must not take away under any share of the keys that is worth a try: here, for every
 * difference of one bit in the source, the destinations that would undo it if the mixing were without key or
 * its parts were only added.
 */
static void test_destination_for_source(void **state)
{
	static const __u64 steps[] = { 1ull << 63, 1ull << 31, 1, 1ull << 32, 0x8000000080000000ull };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (unsigned int bit = 0; bit < 64; bit++) {
			struct input a = random_flow(), b = a, c;
			__u64 key[LB_HASH_WORDS];

			b.saddr[1] ^= 1ull << bit;
			c = b;
			b.daddr[1] += steps[i] << bit;
			c.daddr[1] -= steps[i] * LB_MIX_B;
			for (int k = 0; k < 1000; k++) {
				random_key(key);
				assert_int_not_equal(hash_v6(key, &a), hash_v6(key, &b));
				assert_int_not_equal(hash_v6(key, &a), hash_v6(key, &c));
			}
		}
	}
}

/* Neither can what a port changes be made up for by an address. */
static struct input address_for_port_v6(__u32 i)
{
	struct input in = client_v6(0x20010db8000a0000ull, 0x5eed, 0);

	in.saddr[0] -= (i & 0xffff) * LB_MIX_B;
	in.saddr[1] -= (i & 0xffff) * LB_MIX_C + (i >> 16);
	in.ports = i << 16 | htons(443);
	return in;
}
static struct input port_and_address_v6(__u32 i)
{
	struct input in = client_v6(0x20010db8000a0000ull, 0x5eed, 0);

	in.saddr[1] ^= (__u64)i << 32 | i;
	in.ports = i << 16 | htons(443);
	return in;
}

static void test_aimed(void **state)
{
	struct input (*const sets[])(__u32 i) = { address_for_port_v6, port_and_address_v6 };
	__u64 key[LB_HASH_WORDS];

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		for (int k = 0; k < 8; k++) {
			random_key(key);
			assert_true(evenness(hash_v6, key, sets[i], 12, 0) < 5);
		}
	}
}

/* Slot and bucket of a flow must not tell about each other: they are under different keys. */
static void test_independence(void **state)
{
	enum { CELLS = 1u << 14 };
	static __u32 count[CELLS];
	double chi = 0;

	(void)state;
	for (__u32 i = 0; i < CELLS * 16; i++) {
		struct input in = sequential_ports(i);
		__u32 slot = hash_v4(keys[0], &in) & 127, bucket = hash_v4(keys[1], &in) & 127;

		count[slot << 7 | bucket]++;
	}
	for (__u32 c = 0; c < CELLS; c++)
		chi += ((double)count[c] - 16) * ((double)count[c] - 16) / 16;
	assert_true(fabs(chi - (CELLS - 1)) / sqrt(2.0 * (CELLS - 1)) < 5);
}

/* A pinned map outlives the agent, and fleets agree: these values may never change. */
static void test_fixed(void **state)
{
	struct input v4 = client(0xc6336407, 40000), v6 = client_v6(0x20010db8000a0000ull, 7, 40000);

	(void)state;
	assert_int_equal(hash_v4(keys[0], &v4), 0x378bcfdadff121b5ull);
	assert_int_equal(hash_v6(keys[0], &v6), 0xa8ed4a7bf3e8cb4aull);
	assert_int_equal(lb_hash_vip(keys[0], v4.daddr[0], 0, lb_vip_tail_word(htons(443), 6, 4, 0, 0)),
			 0x530ea047);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_avalanche),   cmocka_unit_test(test_evenness),
		cmocka_unit_test(test_aimed),       cmocka_unit_test(test_independence),
		cmocka_unit_test(test_differences), cmocka_unit_test(test_destination_for_source),
		cmocka_unit_test(test_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
