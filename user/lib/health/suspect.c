// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting by windows: an address counts in the part of the window in which it was last heard of, as what it
 * was then; one that fails and is asked more often for it counts where it began to fail. Every result costs
 * the same, however many addresses there are.
 */
#include "health/suspect.h"

#include <string.h>

#include "health/check.h"

#define RECENT_BUCKETS                                                                                       \
	3u /* in which a trouble that has just begun shows: what was heard before it is outside */

static const char *const names[] = {
	[LB_SUSPICION_NONE] = "none",
	[LB_SUSPICION_DOUBT] = "doubt",
	[LB_SUSPICION_FROZEN] = "frozen",
};

const char *lb_suspicion_name(enum lb_suspicion suspicion)
{
	return names[suspicion];
}

void lb_suspect_init(struct lb_suspect *suspect)
{
	memset(suspect, 0, sizeof(*suspect));
}

static __u64 service_bit(__u64 service)
{
	return 1ull << (service * 0x9e3779b97f4a7c15ull >> 58);
}

void lb_suspect_begin(struct lb_suspect *suspect)
{
	suspect->known = 0;
	suspect->services_all = 0;
}

void lb_suspect_add(struct lb_suspect *suspect, __u64 service)
{
	suspect->known++;
	suspect->services_all |= service_bit(service);
}

/* Never 0, which stands for "never". */
static __u64 bucket_of(const struct lb_suspect_config *config, __u64 now_ns)
{
	return now_ns / (config->window_ms * LB_NS_PER_MS / LB_SUSPECT_BUCKETS + 1) + 1;
}

static void take_out(struct lb_suspect *suspect, struct lb_suspect_address *address)
{
	unsigned int at = address->bucket % LB_SUSPECT_BUCKETS;

	if (!address->bucket || suspect->buckets[at].number != address->bucket)
		return;
	suspect->buckets[at].heard--;
	suspect->buckets[at].failing -= address->failing;
}

void lb_suspect_forget(struct lb_suspect *suspect, struct lb_suspect_address *address)
{
	take_out(suspect, address);
	memset(address, 0, sizeof(*address));
}

static void put_in(struct lb_suspect *suspect, struct lb_suspect_address *address, __u64 number,
		   __u64 service)
{
	unsigned int at = number % LB_SUSPECT_BUCKETS;

	if (suspect->buckets[at].number != number) {
		memset(&suspect->buckets[at], 0, sizeof(suspect->buckets[at]));
		suspect->buckets[at].number = number;
	}
	address->bucket = number;
	suspect->buckets[at].heard++;
	suspect->buckets[at].failing += address->failing;
	if (address->failing)
		suspect->buckets[at].failing_services |= service_bit(service);
}

struct counts {
	__u64 heard, failing, services;
};

/* Of the last buckets. */
static struct counts count(const struct lb_suspect *suspect, __u64 now, unsigned int buckets)
{
	struct counts counts = {};

	for (unsigned int i = 0; i < LB_SUSPECT_BUCKETS; i++) {
		if (suspect->buckets[i].number + buckets <= now)
			continue;
		counts.heard += suspect->buckets[i].heard;
		counts.failing += suspect->buckets[i].failing;
		counts.services |= suspect->buckets[i].failing_services;
	}
	return counts;
}

/* What the counts say, whatever was said before. */
static enum lb_suspicion judge(const struct lb_suspect *suspect, __u64 now)
{
	struct counts all = count(suspect, now, LB_SUSPECT_BUCKETS),
		      recent = count(suspect, now, RECENT_BUCKETS);

	if (suspect->canary_fails)
		return LB_SUSPICION_FROZEN;
	if (suspect->known < LB_SUSPECT_ADDRESSES_MIN ||
	    __builtin_popcountll(suspect->services_all) < (int)LB_SUSPECT_SERVICES_MIN)
		return LB_SUSPICION_NONE;
	if (2 * all.failing > all.heard && all.heard >= LB_SUSPECT_ADDRESSES_MIN &&
	    __builtin_popcountll(all.services) >= (int)LB_SUSPECT_SERVICES_MIN)
		return LB_SUSPICION_FROZEN;
	return 2 * recent.failing > recent.heard && recent.failing >= LB_SUSPECT_DOUBT_MIN
		       ? LB_SUSPICION_DOUBT
		       : LB_SUSPICION_NONE;
}

static bool turn(struct lb_suspect *suspect, const struct lb_suspect_config *config, enum lb_suspicion to,
		 __u64 now_ns)
{
	__u64 window_ns = config->window_ms * LB_NS_PER_MS;

	if (to == LB_SUSPICION_FROZEN && suspect->state != LB_SUSPICION_FROZEN)
		suspect->from_ns = now_ns > window_ns ? now_ns - window_ns : 0;
	suspect->state = to;
	suspect->since_ns = now_ns;
	return true;
}

static __u64 bound_ns(const struct lb_suspect *suspect, const struct lb_suspect_config *config)
{
	return (suspect->state == LB_SUSPICION_FROZEN ? config->freeze_max_ms : config->window_ms) *
	       LB_NS_PER_MS;
}

bool lb_suspect_tick(struct lb_suspect *suspect, const struct lb_suspect_config *config, __u64 now_ns)
{
	enum lb_suspicion says = judge(suspect, bucket_of(config, now_ns));

	if (says == LB_SUSPICION_NONE)
		suspect->spent = LB_SUSPICION_NONE;
	if (says != LB_SUSPICION_NONE && says <= suspect->spent)
		says = LB_SUSPICION_NONE;
	/* Not thawed because only a few have been heard of again. */
	if (suspect->state == LB_SUSPICION_FROZEN && says == LB_SUSPICION_DOUBT)
		says = LB_SUSPICION_FROZEN;
	if (says != suspect->state)
		return turn(suspect, config, says, now_ns);
	if (says == LB_SUSPICION_NONE || now_ns < suspect->since_ns + bound_ns(suspect, config))
		return false;
	/* It has lasted too long to be the checker's: verdicts count. */
	suspect->spent = says;
	return turn(suspect, config, LB_SUSPICION_NONE, now_ns);
}

bool lb_suspect_result(struct lb_suspect *suspect, const struct lb_suspect_config *config,
		       struct lb_suspect_address *address, __u64 service, const struct lb_result *result,
		       __u64 now_ns)
{
	if (!lb_outcome_is_good(result->outcome) && !lb_outcome_is_bad(result->outcome))
		return false;
	if (lb_outcome_is_good(result->outcome) || !address->failing ||
	    address->bucket + LB_SUSPECT_BUCKETS <= bucket_of(config, now_ns)) {
		take_out(suspect, address);
		address->failing = lb_outcome_is_bad(result->outcome);
		put_in(suspect, address, bucket_of(config, now_ns), service);
	}
	return lb_suspect_tick(suspect, config, now_ns);
}

bool lb_suspect_canary(struct lb_suspect *suspect, const struct lb_suspect_config *config, bool fails,
		       __u64 now_ns)
{
	suspect->canary_fails = fails;
	return lb_suspect_tick(suspect, config, now_ns);
}

bool lb_suspect_believes(const struct lb_suspect *suspect, const struct lb_result *result)
{
	return suspect->state != LB_SUSPICION_FROZEN || result->begin_ns < suspect->from_ns;
}

bool lb_suspect_holds(const struct lb_suspect *suspect)
{
	return suspect->state != LB_SUSPICION_NONE;
}
