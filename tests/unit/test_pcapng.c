// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of pcapng, byte for byte against the draft (little endian), and the scanner of a passing stream.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "packet/pcapng.h"

static const struct lb_pcapng_packet packet = {
	.interface = 1,
	.time_ns = 0x0102030405060708,
	.data = "\xaa\xbb\xcc\xdd\xee",
	.bytes = 5,
	.frame_bytes = 1514,
	.outbound = true,
	.id = 7,
	.xdp_verdict = 3,
	.comment = "five!",
};

static void section(void **state)
{
	static const unsigned char wanted[] = {
		0x0a, 0x0d, 0x0d, 0x0a, 44,   0,    0,    0,    0x4d, 0x3c, 0x2b, 0x1a, 1, 0,   0,
		0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4,    0,    5,    0, 'l', 'b',
		'd',  ' ',  '1',  0,    0,    0,    0,    0,    0,    0,    44,   0,    0, 0,
	};
	unsigned char got[64];

	assert_int_equal(lb_pcapng_section(got, sizeof(got), "lbd 1"), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
	assert_int_equal(lb_pcapng_section(got, sizeof(got), NULL), 32);
}

static void interface(void **state)
{
	static const unsigned char wanted[] = {
		1, 0, 0,   0,   52,  0,   0,   0, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 2, 0, 'i', 'n', 0,  0, 3, 0,
		5, 0, 'a', 'l', 'l', ' ', 'x', 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0,   0,   52, 0, 0, 0,
	};
	unsigned char got[64];

	assert_int_equal(lb_pcapng_interface(got, sizeof(got), "in", "all x", 256), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
}

static void packet_block(void **state)
{
	static const unsigned char
		wanted[] = {
			6, 0, 0, 0, 92,   0,   0,   0,   1,    0,    0,    0,    4,    3, 2, 1, 8,  7, 6, 5,
			5, 0, 0, 0, 0xea, 5,   0,   0,   0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0, 0, 0, 2,  0, 4, 0,
			2, 0, 0, 0,                                           /* flags: outbound */
			5, 0, 8, 0, 7,    0,   0,   0,   0,    0,    0,    0, /* packet id */
			7, 0, 9, 0, 2,    3,   0,   0,   0,    0,    0,    0,    0,    0, 0, 0, /* verdict:
												   XDP, 3 */
			1, 0, 5, 0, 'f',  'i', 'v', 'e', '!',  0,    0,    0,    0,    0, 0, 0, 92, 0, 0, 0,
		};
	struct lb_pcapng_packet other = packet;
	unsigned char got[128];

	assert_int_equal(sizeof(wanted), 92);
	assert_int_equal(lb_pcapng_packet(got, sizeof(got), &packet), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
	other.outbound = false;
	other.comment = NULL;
	assert_int_equal(lb_pcapng_packet(got, sizeof(got), &other), 80);
	assert_int_equal(got[40], 1);
}

static void statistics(void **state)
{
	static const unsigned char wanted[] = {
		5, 0, 0,   0, 76, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0, 200, 0, 0, 0, 2,  0, 8, 0, 1, 0,
		0, 0, 100, 0, 0,  0, 3, 0, 8, 0, 0, 0, 0, 0, 200, 0, 0,   0, 4, 0, 8,  0, 9, 0, 0, 0,
		0, 0, 0,   0, 5,  0, 8, 0, 3, 0, 0, 0, 0, 0, 0,   0, 0,   0, 0, 0, 76, 0, 0, 0,
	};
	const struct lb_pcapng_statistics numbers = {
		.start_ns = 0x100000064, .end_ns = 200, .received = 9, .dropped = 3
	};
	unsigned char got[128];

	assert_int_equal(lb_pcapng_statistics(got, sizeof(got), &numbers), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
}

/* Every length that is too short gives 0 and writes nothing behind it. */
static void no_room(void **state)
{
	unsigned char got[128];

	for (size_t room = 0; room < 92; room++) {
		memset(got, 0x5a, sizeof(got));
		assert_int_equal(lb_pcapng_packet(got, room, &packet), 0);
		for (size_t i = room; i < sizeof(got); i++)
			assert_int_equal(got[i], 0x5a);
	}
}

static size_t stream(unsigned char *to, size_t room)
{
	const struct lb_pcapng_statistics early = { .received = 1, .dropped = 0 };
	const struct lb_pcapng_statistics late = { .received = 5000000000, .dropped = 12 };
	const struct lb_pcapng_statistics out = { .interface = 1, .received = 77, .dropped = 77 };
	struct lb_pcapng_packet in = packet;
	static const unsigned char large[2000];
	size_t n = lb_pcapng_section(to, room, "a test");

	in.interface = 0;
	in.data = large;
	in.bytes = sizeof(large);
	n += lb_pcapng_interface(to + n, room - n, "in", NULL, 256);
	n += lb_pcapng_interface(to + n, room - n, "out", NULL, 256);
	n += lb_pcapng_packet(to + n, room - n, &in);
	n += lb_pcapng_statistics(to + n, room - n, &early);
	n += lb_pcapng_packet(to + n, room - n, &packet);
	n += lb_pcapng_packet(to + n, room - n, &in);
	n += lb_pcapng_statistics(to + n, room - n, &late);
	n += lb_pcapng_statistics(to + n, room - n, &out);
	return n;
}

static void scan(void **state)
{
	static unsigned char bytes[8192];
	size_t n = stream(bytes, sizeof(bytes));

	for (size_t step = 1; step <= n; step = step < 20 ? step + 1 : step * 2) {
		struct lb_pcapng_scan seen = {};

		for (size_t at = 0; at < n; at += step)
			assert_int_equal(lb_pcapng_scan(&seen, bytes + at, step < n - at ? step : n - at), 0);
		assert_true(lb_pcapng_scan_complete(&seen));
		assert_int_equal(seen.packets, 2);
		assert_true(seen.statistics);
		assert_int_equal(seen.received, 5000000000);
		assert_int_equal(seen.dropped, 12);
	}
}

static void scan_what_is_none(void **state)
{
	static const unsigned char lies[][8] = {
		{ 6, 0, 0, 0, 0, 0, 0, 0 },
		{ 6, 0, 0, 0, 8, 0, 0, 0 },
		{ 6, 0, 0, 0, 13, 0, 0, 0 },
		{ 6, 0, 0, 0, 32, 0, 0, 0 }, /* does not begin with a section */
		{ 0x0a, 0x0d, 0x0d, 0x0a, 11, 0, 0, 0 },
		{ '{', '"', 'e', 'r', 'r', 'o', 'r', '"' },
	};
	struct lb_pcapng_scan seen = {};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(lb_pcapng_scan(&seen, lies[i], 7), 0);
		assert_false(seen.begun);
		assert_int_equal(lb_pcapng_scan(&seen, lies[i] + 7, 1), -EINVAL);
	}
	/* Cut in the middle of a block. */
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(lb_pcapng_scan(&seen, "\x0a\x0d\x0d\x0a\x20\0\0\0\0\0", 10), 0);
	assert_false(lb_pcapng_scan_complete(&seen));
	assert_int_equal(seen.packets, 0);
}

/* Options of statistics that run over their block. */
static void scan_short_statistics(void **state)
{
	unsigned char bytes[128];
	const struct lb_pcapng_statistics numbers = { .received = 9, .dropped = 3 };
	size_t n = lb_pcapng_statistics(bytes, sizeof(bytes), &numbers);
	struct lb_pcapng_scan seen = { .begun = true };

	bytes[22] = 0xff;
	bytes[23] = 0xff;
	assert_int_equal(lb_pcapng_scan(&seen, bytes, n), 0);
	assert_int_equal(seen.received, 0);
	assert_true(lb_pcapng_scan_complete(&seen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section),           cmocka_unit_test(interface),
		cmocka_unit_test(packet_block),      cmocka_unit_test(statistics),
		cmocka_unit_test(no_room),           cmocka_unit_test(scan),
		cmocka_unit_test(scan_what_is_none), cmocka_unit_test(scan_short_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
