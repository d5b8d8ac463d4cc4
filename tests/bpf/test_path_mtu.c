/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * "Too big" about our tunnels: told apart, and kept for the agent, only where the quoted packet is one that
 * the balancer makes of the flow inside. Passed to the host in any case.
 */
#include <arpa/inet.h>

#include "tunnel.h"

#define ROUTER4 "192.0.2.99"
#define ROUTER6 "2001:db8:99::1"
#define SOURCES "{'ipv4':'172.16.0.0/16','ipv6':'fd16::/64'}"

/* The IP packet that left last, as a router quotes it. */
struct quote {
	__u8 bytes[200];
	int n;
	char source[INET6_ADDRSTRLEN];
};

static struct quote quote_of(const struct rig *rig, const struct way *way, int n)
{
	const __u8 *ip = out_ip(rig);
	struct quote quote = { .n = n };

	memcpy(quote.bytes, ip, n);
	inet_ntop(way->backend == 4 ? AF_INET : AF_INET6, ip + (way->backend == 4 ? 12 : 8), quote.source,
		  sizeof(quote.source));
	return quote;
}

static struct frame *too_big(const struct way *way, const struct quote *quote, __u32 mtu)
{
	if (way->backend == 4)
		return frame(ETH(), IP4(ROUTER4, quote->source), ICMP(3, 4, .word = mtu),
			     DATA(quote->n, .bytes = quote->bytes));
	return frame(ETH(), IP6(ROUTER6, quote->source), ICMP(2, 0, .word = mtu),
		     DATA(quote->n, .bytes = quote->bytes));
}

static struct quote sent(struct rig *rig, const struct way *way, bool tcp, int bytes)
{
	rig->tunnel_source = SOURCES;
	way_service(rig, way, tcp ? "tcp" : "udp", NULL);
	rig_run(rig, tcp ? frame(ETH(), way_ip(way), TCP(4000, 80), DATA(200))
			 : frame(ETH(), way_ip(way), UDP(4000, 80), DATA(200)));
	assert_int_equal(rig->last.action, XDP_TX);
	return quote_of(rig, way, bytes);
}

static void expect_believed(struct rig *rig, const struct way *way, const struct quote *quote)
{
	expect_pass(rig, too_big(way, quote, 1400), PATH_MTU);
}

static void expect_not_believed(struct rig *rig, const struct way *way, const struct quote *quote, __u32 mtu)
{
	expect_pass(rig, too_big(way, quote, mtu), ICMP);
}

static void about_every_tunnel(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++)
		for (int tcp = 0; !way_is_l2(w) && tcp < 2; tcp++) {
			const struct quote quote = sent(rig, w, tcp, 128);

			expect_believed(rig, w, &quote);
		}
}

/* Whoever guesses is wrong by some bit of what varies, or names another flow. */
static void forged_ones(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		int outer = w->backend == 4 ? 20 : 40;
		struct quote forged;
		char *last;

		if (way_is_l2(w))
			continue;
		forged = sent(rig, w, true, 128);
		forged.bytes[outer - (w->backend == 4 ? 8 : 17) + 3 - (w->backend == 4 ? 0 : 3)] ^= 1;
		/* To the source that it quotes, as a router would. */
		inet_ntop(w->backend == 4 ? AF_INET : AF_INET6, forged.bytes + (w->backend == 4 ? 12 : 8),
			  forged.source, sizeof(forged.source));
		expect_not_believed(rig, w, &forged, 1400);
		/* Another port of the client's. */
		forged = sent(rig, w, true, 128);
		forged.bytes[outer + (way_is_gue(w) ? 8 : 0) + (w->vip == 4 ? 20 : 40) + 1] ^= 1;
		expect_not_believed(rig, w, &forged, 1400);
		/* No service of ours. */
		forged = sent(rig, w, true, 128);
		forged.bytes[outer + (way_is_gue(w) ? 8 : 0) + (w->vip == 4 ? 20 : 40) + 3] ^= 1;
		expect_not_believed(rig, w, &forged, 1400);
		if (way_is_gue(w)) {
			forged = sent(rig, w, true, 128);
			forged.bytes[outer + 1] ^= 1;
			expect_not_believed(rig, w, &forged, 1400);
			forged = sent(rig, w, true, 128);
			forged.bytes[outer + 3] ^= 1; /* another destination port */
			expect_not_believed(rig, w, &forged, 1400);
		}
		/* About a packet of somebody else. */
		forged = sent(rig, w, true, 128);
		last = forged.source + strlen(forged.source) - 1;
		*last = *last == '1' ? '2' : '1';
		expect_not_believed(rig, w, &forged, 1400);
	}
}

/* What no link has, and quotes that end before the flow's ports. */
static void silly_and_short_ones(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		struct quote quote;

		if (way_is_l2(w))
			continue;
		quote = sent(rig, w, true, 128);
		expect_not_believed(rig, w, &quote, w->backend == 4 ? 551 : 1279);
		quote.n = (w->backend == 4 ? 20 : 40) + (way_is_gue(w) ? 8 : 0) + (w->vip == 4 ? 20 : 40) + 3;
		expect_not_believed(rig, w, &quote, 1400);
		quote.n++;
		expect_believed(rig, w, &quote);
		for (int n = 1; n < quote.n; n += 3) {
			struct quote cut = quote;

			cut.n = n;
			expect_not_believed(rig, w, &cut, 1400);
		}
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(about_every_tunnel),
	RIG_TEST(forged_ones),
	RIG_TEST(silly_and_short_ones),
};

RIG_MAIN(tests, rig_setup)
