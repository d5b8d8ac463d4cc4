// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four steps, in this order: passive ejection within its limit; the floor; tiers; and nothing else.
 */
#include "health/pool.h"

#include <stdio.h>
#include <string.h>

#include "health/circuit.h"

#define SPILL_STEP 125u /* permille: a share that follows every percent moves slots for nothing */

static const char *const texts[] = {
	[LB_POOL_OWN] = "",
	[LB_POOL_PASSIVE] = "clients' packets say that it fails",
	[LB_POOL_ALL_FAIL] = "too few backends are left: served as if healthy",
	[LB_POOL_TIER] = "its tier is not needed in full",
};

const char *lb_pool_reason_text(enum lb_pool_reason reason)
{
	return texts[reason];
}

/* In units of a thousandth of a weight. */
static __u64 usable(const struct lb_pool_member *member)
{
	return member->ret_state == LB_STATE_ACTIVE ? (__u64)member->weight * member->ret_share : 0;
}

static void begin(struct lb_pool_member *members, size_t n, struct lb_pool_summary *summary)
{
	for (size_t i = 0; i < n; i++) {
		members[i].ret_state = members[i].state;
		members[i].ret_share = members[i].share;
		members[i].ret_reason = LB_POOL_OWN;
		summary->weight += members[i].weight;
	}
}

/* In the order of the pool. A backend goes only if the limit is kept with it gone. */
static void eject(const struct lb_pool_config *config, struct lb_pool_member *members, size_t n,
		  struct lb_pool_summary *summary)
{
	for (size_t i = 0; i < n; i++) {
		struct lb_pool_member *member = &members[i];

		if (!member->suspect || member->state != LB_STATE_ACTIVE)
			continue;
		if ((summary->ejected + member->weight) * 100 > summary->weight * config->max_ejected_percent)
			continue;
		summary->ejected += member->weight;
		member->ret_state = LB_STATE_DRAIN;
		member->ret_reason = LB_POOL_PASSIVE;
	}
}

/* Everything that the checks say is set aside. */
static void serve_all(struct lb_pool_member *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (members[i].ret_state == LB_STATE_ACTIVE && members[i].ret_share == LB_SHARE_FULL)
			continue;
		members[i].ret_state = LB_STATE_ACTIVE;
		members[i].ret_share = LB_SHARE_FULL;
		members[i].ret_reason = LB_POOL_ALL_FAIL;
	}
}

static void set_tier(struct lb_pool_member *members, size_t n, unsigned int tier, __u32 share)
{
	for (size_t i = 0; i < n; i++) {
		struct lb_pool_member *member = &members[i];

		if (member->tier != tier || member->ret_state != LB_STATE_ACTIVE || share == LB_SHARE_FULL)
			continue;
		member->ret_reason = LB_POOL_TIER;
		member->ret_share = (__u32)((__u64)member->ret_share * share / LB_SHARE_FULL);
		if (share == 0)
			member->ret_state = LB_STATE_DRAIN;
	}
}

/* The share of a tier that is to give lack out of have, in steps, never nothing. */
static __u32 share_of(__u64 lack, __u64 have)
{
	__u64 share;

	if (have == 0 || lack >= have)
		return LB_SHARE_FULL;
	share = (lack * LB_SHARE_FULL + have - 1) / have;
	return (__u32)((share + SPILL_STEP - 1) / SPILL_STEP * SPILL_STEP);
}

static void choose_tiers(const struct lb_pool_config *config, struct lb_pool_member *members, size_t n,
			 struct lb_pool_summary *summary)
{
	__u64 configured[LB_TIERS_MAX] = {}, left[LB_TIERS_MAX] = {}, needed = 0, reached = 0;
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		configured[members[i].tier] += members[i].weight;
		left[members[i].tier] += usable(&members[i]);
	}
	for (unsigned int tier = 0; tier < LB_TIERS_MAX; tier++) {
		__u32 share = LB_SHARE_FULL;

		if (!configured[tier])
			continue;
		summary->tier[tier].weight = configured[tier];
		summary->tier[tier].usable = left[tier] / LB_SHARE_FULL;
		if (first)
			/* The first tier always serves; half of it is no reason to use only half of it. */
			needed = configured[tier] * LB_SHARE_FULL * config->spill_percent / 100;
		else
			share = reached >= needed ? 0 : share_of(needed - reached, left[tier]);
		first = false;
		set_tier(members, n, tier, share);
		if (!left[tier] || share == 0)
			continue;
		reached += left[tier] * share / LB_SHARE_FULL;
		summary->tiers |= 1u << tier;
		summary->tier[tier].share = share;
		summary->last_tier = (__u8)tier;
		summary->last_share = share;
	}
}

void lb_pool_resolve(const struct lb_pool_config *config, struct lb_pool_member *members, size_t n,
		     struct lb_pool_summary *ret_summary)
{
	struct lb_pool_summary summary = {};
	__u64 left = 0;

	begin(members, n, &summary);
	eject(config, members, n, &summary);
	for (size_t i = 0; i < n; i++)
		left += usable(&members[i]);
	summary.usable = left / LB_SHARE_FULL;
	summary.all_fail = summary.weight &&
			   (left == 0 || left * 100 < summary.weight * LB_SHARE_FULL * config->floor_percent);
	if (summary.all_fail && config->when_all_fail == LB_WHEN_ALL_FAIL_ALL)
		serve_all(members, n);
	choose_tiers(config, members, n, &summary);
	*ret_summary = summary;
}

/* --- in words --------------------------------------------------------------------------------------------
 */

/* The tiers behind the first that serve: "tier 1 and 2"; empty: none. */
static void others_text(const struct lb_pool_summary *summary, unsigned int first, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int tier = first + 1; tier < LB_TIERS_MAX; tier++) {
		if (summary->tier[tier].share && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%u", used ? " and " : "tier ",
						 tier);
	}
}

const char *lb_pool_text(const struct lb_pool_config *config, const struct lb_pool_summary *summary,
			 char buffer[LB_POOL_TEXT_MAX])
{
	unsigned int first = 0;
	bool enough, several;
	char others[64];

	while (first < LB_TIERS_MAX && !summary->tier[first].weight)
		first++;
	if (first == LB_TIERS_MAX) {
		snprintf(buffer, LB_POOL_TEXT_MAX, "no backend has a weight");
		return buffer;
	}
	if (summary->all_fail) {
		snprintf(buffer, LB_POOL_TEXT_MAX,
			 "%llu of %llu of the pool's weight can serve, less than %u %%: %s", summary->usable,
			 summary->weight, config->floor_percent ? config->floor_percent : 1,
			 config->when_all_fail == LB_WHEN_ALL_FAIL_ALL ? "all serve as if they were healthy"
								       : "what is left serves");
		return buffer;
	}
	others_text(summary, first, others, sizeof(others));
	several = strchr(others, 'd'); /* of "and" */
	enough = summary->tier[first].usable * 100 >= summary->tier[first].weight * config->spill_percent;
	snprintf(buffer, LB_POOL_TEXT_MAX, "tier %u has %llu of %llu of its weight, %s %u %%: %s%s", first,
		 summary->tier[first].usable, summary->tier[first].weight, enough ? "at least" : "less than",
		 config->spill_percent,
		 enough      ? "it is enough"
		 : others[0] ? others
			     : "no other tier can give what is missing",
		 enough || !others[0] ? ""
		 : several            ? " give what is missing"
				      : " gives what is missing");
	return buffer;
}
