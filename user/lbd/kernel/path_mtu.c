// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Too big" about our tunnels (RFC 2003 section 5.1, RFC 2473 section 8). The packet path keeps the last such
 * message of each CPU, once it has found that the quoted outer source, and GUE's source port, are what the
 * quoted flow hashes to (bpf/slow/path_mtu.h). Whoever has not seen a packet of ours can only guess those
 * bits; with few of them he soon guesses right, so then nothing is believed. What a lie would do is limited:
 * packets are cut to what every path carries, for ten minutes.
 */
#include "lbd/kernel/path_mtu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/reasons.h"
#include "lbd/api/json.h"
#include "lbd/clock.h"
#include "lbd/health/health.h"
#include "lbd/lbd.h"
#include "lbd/stats/samples.h"
#include "lbd/stats/stats.h"
#include "net/path_mtu.h"
#include "net/route.h"

#define PROOF_BITS_MIN 8u
#define GUE_PORT_BITS  14u
#define SOURCE_BITS    32u     /* vary at most */
#define DOUBT_MS       600000u /* between events about what is not believed */

#define LOOKED_MAX 2000u /* addresses, in one turn */

/* Addresses behind routers, of whose path nothing is known but its beginning. */
struct unknown {
	size_t n;
	struct lb_address first;
};

struct path_mtu {
	struct samples samples;
	__u64 doubted_ms; /* when that was told last; 0: never */
	struct unknown unknown, so_far;
	size_t turn;     /* the destination that is looked at next */
	__u64 seen_ns[]; /* by CPU: the sample that was looked at last */
};

static struct path_mtu *open(struct lbd *lbd)
{
	__u32 cpus = lbd->maps.tables.sizes.cpus;

	lbd->path_mtu = calloc(1, sizeof(*lbd->path_mtu) + cpus * sizeof(__u64));
	if (!lbd->path_mtu)
		return NULL;
	samples_open(&lbd->maps, &lbd->path_mtu->samples);
	/* What is there already was told to somebody else, at some time. */
	for (__u32 cpu = 0; cpu < cpus; cpu++) {
		struct lb_sample sample;

		if (samples_get(&lbd->path_mtu->samples, cpu, LB_PASS_PATH_MTU, &sample))
			lbd->path_mtu->seen_ns[cpu] = sample.taken_ns;
	}
	return lbd->path_mtu;
}

void path_mtu_done(struct lbd *lbd)
{
	if (lbd->path_mtu)
		samples_close(&lbd->path_mtu->samples);
	free(lbd->path_mtu);
	lbd->path_mtu = NULL;
}

/* How many bits of the quoted packet only its flow's hash tells; -ENOENT: it is none of our sources. */
static int proof_bits(const struct lbd *lbd, const struct lb_path_mtu_told *told)
{
	const struct lb_config *config = lbd->running.config;
	const struct lb_prefix *prefix =
		told->source.family == LB_FAMILY_V4 ? &config->tunnel_source_v4 : &config->tunnel_source_v6;
	unsigned int bits = 0;

	if (prefix->address.family) {
		if (!lb_prefix_contains(prefix, &told->source))
			return -ENOENT;
		bits = lb_address_bytes(&prefix->address) * 8 - prefix->length;
		bits = bits < SOURCE_BITS ? bits : SOURCE_BITS;
	} else {
		struct lb_nexthop_state nexthop;

		lb_nexthops_get(lbd->netlink.nexthops, &told->to, now_ms(), &nexthop);
		if (!lb_address_equal(&nexthop.source_address, &told->source))
			return -ENOENT;
	}
	return (int)(bits + (told->gue ? GUE_PORT_BITS : 0));
}

static void tell_learned(struct lbd *lbd, const struct lb_path_mtu_told *told)
{
	char to[LB_ADDRESS_TEXT_MAX], router[LB_ADDRESS_TEXT_MAX];

	events_add(&lbd->events, LOG_LEVEL_INFO, "path_mtu", "to=%s mtu=%u router=%s",
		   lb_address_text(&told->to, to), told->mtu, lb_address_text(&told->router, router));
}

static void tell_doubt(struct lbd *lbd, const struct lb_path_mtu_told *told)
{
	__u64 now = now_ms();
	char to[LB_ADDRESS_TEXT_MAX], router[LB_ADDRESS_TEXT_MAX];

	if (lbd->path_mtu->doubted_ms && now - lbd->path_mtu->doubted_ms < DOUBT_MS)
		return;
	lbd->path_mtu->doubted_ms = now;
	events_add(&lbd->events, LOG_LEVEL_WARNING, "path_mtu",
		   "to=%s mtu=%u router=%s believed=no text=\"anybody could have sent it: with a "
		   "tunnel_source of /%u or "
		   "shorter it could be believed; or say mtu of the backend\"",
		   lb_address_text(&told->to, to), told->mtu, lb_address_text(&told->router, router),
		   (unsigned int)lb_address_bytes(&told->to) * 8 - PROOF_BITS_MIN);
}

/* True: what is known of a way has changed. */
static bool take_in(struct lbd *lbd, const struct lb_sample *sample)
{
	struct lb_path_mtu_told told;
	int bits;

	if (lb_path_mtu_parse(sample->data, sample->sample_bytes, &told) < 0)
		return false;
	bits = proof_bits(lbd, &told);
	if (bits < 0)
		return false;
	if ((unsigned int)bits < PROOF_BITS_MIN) {
		tell_doubt(lbd, &told);
		return false;
	}
	if (lb_nexthops_learn_mtu(lbd->netlink.nexthops, &told.to, told.mtu, now_ms()) <= 0)
		return false;
	tell_learned(lbd, &told);
	return true;
}

/* --- where nobody would tell -----------------------------------------------------------------------------
 */

static bool is_unknown(const struct lbd *lbd, const struct lb_address *to)
{
	struct lb_nexthop_state nexthop;

	lb_nexthops_get(lbd->netlink.nexthops, to, now_ms(), &nexthop);
	return nexthop.resolved && !nexthop.local && nexthop.routed && nexthop.mtu_from == LB_MTU_FROM_WAY &&
	       !health_knows_path(lbd, to);
}

static void look_for_unknown(struct lbd *lbd, struct path_mtu *path_mtu)
{
	struct lb_address to;

	for (unsigned int i = 0; i < LOOKED_MAX; i++) {
		if (!lb_nexthops_destination(lbd->netlink.nexthops, path_mtu->turn, &to)) {
			path_mtu->unknown = path_mtu->so_far;
			path_mtu->so_far = (struct unknown){};
			path_mtu->turn = 0;
			return;
		}
		path_mtu->turn++;
		if (!is_unknown(lbd, &to))
			continue;
		if (!path_mtu->so_far.n++)
			path_mtu->so_far.first = to;
	}
}

void path_mtu_warn(const struct lbd *lbd, struct json *json)
{
	const struct unknown *unknown = lbd->path_mtu ? &lbd->path_mtu->unknown : NULL;
	const struct lb_prefix *source;
	char to[LB_ADDRESS_TEXT_MAX], from[LB_PREFIX_TEXT_MAX];
	struct lb_reason_counter told;

	if (!unknown || !unknown->n)
		return;
	source = unknown->first.family == LB_FAMILY_V4 ? &lbd->running.config->tunnel_source_v4
						       : &lbd->running.config->tunnel_source_v6;
	stats_reason(&lbd->maps.tables, LB_PASS_PATH_MTU, &told);
	if (!source->address.family || told.packets)
		return;
	json_format(json, NULL,
		    "what gets through to %zu backends behind routers (%s) is not known: a router that takes "
		    "less tells "
		    "%s, and unless that is routed to this host it never hears of it, and uploads hang. Say "
		    "mtu of "
		    "these backends, or have them checked at the VIP (lb-checkd finds it)",
		    unknown->n, lb_address_text(&unknown->first, to), lb_prefix_text(source, from));
}

/* --- time ------------------------------------------------------------------------------------------------
 */

void path_mtu_tick(struct lbd *lbd)
{
	struct path_mtu *path_mtu = lbd->path_mtu ? lbd->path_mtu : open(lbd);
	bool changed = lb_nexthops_forget_mtus(lbd->netlink.nexthops, now_ms());

	for (__u32 cpu = 0; path_mtu && lbd->running.config && cpu < path_mtu->samples.cpus; cpu++) {
		struct lb_sample sample;

		if (!samples_get(&path_mtu->samples, cpu, LB_PASS_PATH_MTU, &sample) ||
		    sample.taken_ns == path_mtu->seen_ns[cpu])
			continue;
		path_mtu->seen_ns[cpu] = sample.taken_ns;
		changed |= take_in(lbd, &sample);
	}
	if (path_mtu && lbd->running.config)
		look_for_unknown(lbd, path_mtu);
	if (changed)
		lbd->netlink.changed(lbd->netlink.context, LB_NEXTHOPS_CHANGED);
}
