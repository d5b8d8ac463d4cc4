/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many answers there are. The host-compiled packet path, whose clock is the test's: floods of seconds, in
 * moments, the same each time. And the loaded one, for its limits at all.
 */
#include <stdlib.h>

#include "tunnel.h"

#define MS 1000000ull
#define S  (1000 * MS)

/* As bpf/config.h has them. */
#define ERRORS_PER_S 8000u
#define RESETS_PER_S 6000u
#define ECHOES_PER_S 4000u
#define SOURCE_PER_S 100u

static __u64 random_state = 1;

static __u32 random_number(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)(random_state >> 32);
}

/* Whether a packet is answered at a time. */
static bool is_answered(struct rig *rig, const struct frame *in, __u64 now_ns)
{
	static __u8 bytes[FRAME_MAX];
	size_t length = in->length;

	memcpy(bytes, in->bytes, length);
	rig->host->now_ns = now_ns;
	rig->host->ingress_ifindex = 1;
	return host_packet(rig->host, bytes, &length, sizeof(bytes)) == XDP_TX;
}

/* The frame as from another network, which the IP checksum is not looked at for. */
static const struct frame *from_anywhere(struct frame *in)
{
	__u32 source = random_number();

	memcpy(in->bytes + 14 + 12, &source, sizeof(source));
	in->bytes[14 + 12] = (__u8)(1 + (source >> 8) % 120);
	return in;
}

static void serve(struct rig *rig)
{
	rig->unclaimed = ",'unclaimed':'reject'";
	rig_services(rig, "{'name':'t','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'u','vip':'" VIP4 "','protocol':'udp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'r','vip':'" VIP4 "','protocol':'tcp','port':81,'ring_size':64,"
			  "'no_backend':'reject','backends':[]}");
	host_forget(rig->host);
	random_state = 1;
}

/* 24 Mbit/s of datagrams that are too big, from forged sources; an honest upload asks every 100 ms. */
static void forged_sources_starve_nobody(void **state)
{
	struct rig *rig = *state;
	struct frame *flood = frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(1472));
	const struct frame *honest = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(1460));
	unsigned int refused = 0;

	serve(rig);
	for (__u64 now = S; now < 31 * S; now += MS / 2) {
		is_answered(rig, from_anywhere(flood), now);
		if (now % (100 * MS) == 0)
			refused += !is_answered(rig, honest, now);
	}
	assert_int_equal(refused, 0);
}

/* One network that asks for ever more: it has its share, others theirs. */
static void one_source_has_its_share(void **state)
{
	struct rig *rig = *state;
	const struct frame *greedy = frame(ETH(), IP4("198.51.101.9", VIP4), UDP(4000, 80), DATA(1472));
	const struct frame *next_door = frame(ETH(), IP4("198.51.101.10", VIP4), UDP(4000, 80), DATA(1472));
	const struct frame *honest = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(1460));
	unsigned int answers = 0, refused = 0;

	serve(rig);
	for (__u64 now = S; now < 11 * S; now += MS / 20) {
		answers += is_answered(rig, greedy, now);
		answers += is_answered(rig, next_door, now);
		if (now % (100 * MS) == 0)
			refused += !is_answered(rig, honest, now);
	}
	assert_int_equal(refused, 0);
	assert_in_range(answers, 10 * SOURCE_PER_S * 9 / 10, 12 * SOURCE_PER_S);
}

static unsigned int answers_of(struct rig *rig, struct frame *in, __u64 seconds)
{
	unsigned int answers = 0;

	for (__u64 now = S; now < (1 + seconds) * S; now += MS / 50)
		answers += is_answered(rig, from_anywhere(in), now);
	return answers;
}

/* 50,000 a second of each kind, from anywhere: no kind takes from another. */
static void the_totals(void **state)
{
	struct rig *rig = *state;
	unsigned int answers;

	serve(rig);
	answers = answers_of(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(1472)), 4);
	assert_in_range(answers, 4 * ERRORS_PER_S, 5 * ERRORS_PER_S);
	answers = answers_of(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81, .flags = TCP_SYN)), 4);
	assert_in_range(answers, 4 * RESETS_PER_S, 5 * RESETS_PER_S);
	answers = answers_of(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(8)), 4);
	assert_in_range(answers, 4 * ECHOES_PER_S, 5 * ECHOES_PER_S);
	/* Errors of all causes are one kind: nothing is left of it. */
	answers_of(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(1472)), 1);
	answers = 0;
	for (int i = 0; i < 100; i++)
		answers += is_answered(
			rig, from_anywhere(frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), UDP(4000, 80))),
			2 * S - 1);
	assert_in_range(answers, 0, 5);
}

/* After a pause of weeks the clock of a source has gone round. */
static void after_a_long_pause(void **state)
{
	struct rig *rig = *state;
	const struct frame *honest = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(1460));

	serve(rig);
	for (__u64 week = 0; week < 20; week++)
		for (int i = 0; i < 40; i++)
			assert_true(is_answered(rig, honest, S + week * 7 * 24 * 3600 * S));
}

/* The loaded program: there is an end to it, and the reason is then the packet's own. */
static void the_loaded_program(void **state)
{
	struct rig *rig = *state;
	const struct {
		const struct frame *in;
		int reply, drop;
	} cases[] = {
		{ frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(1472)), LB_REPLY_TOO_BIG,
		  LB_DROP_TOO_BIG },
		{ frame(ETH(), IP4("192.0.2.1", VIP4, .ttl = 1), UDP(4000, 80)), LB_REPLY_TTL, LB_DROP_TTL },
		{ frame(ETH(), IP4("192.0.3.1", VIP4), UDP(4000, 82)), LB_REPLY_UNCLAIMED,
		  LB_DROP_UNCLAIMED },
		{ frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81)), LB_REPLY_NO_BACKEND, LB_DROP_NO_BACKEND },
		{ frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(8)), LB_REPLY_ECHO, LB_DROP_ECHO_LIMIT },
	};

	if (getenv("WEIR_VM"))
		skip(); /* an emulated machine does not get through so many in a second */
	serve(rig);
	rig->alone = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int drops = 0;

		for (int k = 0; k < 20000 && drops < 10; k++) {
			rig_run(rig, cases[i].in);
			assert_int_equal(rig->last.reason,
					 rig->last.action == XDP_DROP ? cases[i].drop : cases[i].reply);
			drops += rig->last.action == XDP_DROP;
		}
		assert_int_equal(drops, 10);
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(forged_sources_starve_nobody), RIG_TEST(one_source_has_its_share), RIG_TEST(the_totals),
	RIG_TEST(after_a_long_pause),           RIG_TEST(the_loaded_program),
};

RIG_MAIN(tests, rig_setup_limited)
