// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tells a checker in trouble from backends in trouble: the canary, an address that the checker must
 * reach, and the next hops of backends, of which the kernel tells by itself.
 */
#include "lbd/clock.h"
#include "lbd/health/health_internal.h"

#define HOSTS_MAX 256 /* looked at in one turn of the clock */

/* --- the canary ------------------------------------------------------------------------------------------
 */

/* Sooner than any backend falls by the default keys, and not for one lost packet. */
static const struct lb_check_timing canary_timing = {
	.interval_ms = 500,
	.fast_interval_ms = 250,
	.down_interval_ms = 250,
	.timeout_ms = 500,
	.rise = 1,
	.fall = 3,
};

bool canary_check(const struct lb_config_checker *checker, struct lb_config_check *ret_check)
{
	if (!checker->canary.family)
		return false;
	*ret_check = (struct lb_config_check){
		.kind = LB_CHECK_TCP,
		.scope = LB_CHECK_SCOPE_SERVICE,
		.target = LB_CHECK_TARGET_ADDRESS,
		.address = checker->canary,
		.port = checker->canary_port,
		.interval_ms = canary_timing.interval_ms,
		.fast_interval_ms = canary_timing.fast_interval_ms,
		.down_interval_ms = canary_timing.down_interval_ms,
		.timeout_ms = canary_timing.timeout_ms,
		.rise = canary_timing.rise,
		.fall = canary_timing.fall,
	};
	return true;
}

bool canary_fails(const struct health *health)
{
	return health->canary && health->canary_state.verdict == LB_CHECK_DOWN;
}

void canary_set(struct health *health, struct health_target *target)
{
	if (health->canary != target)
		lb_check_init(&health->canary_state, lb_now_ns());
	health->canary = target;
	lb_suspect_canary(&health->suspect, &health->suspect_config, canary_fails(health), lb_now_ns());
}

/* Whoever refuses is there, and so is the way. True: the suspicion has changed. */
bool canary_result(struct health *health, const struct lb_result *result)
{
	struct lb_result heard = *result;

	if (heard.outcome == LB_OUTCOME_REFUSED || heard.outcome == LB_OUTCOME_RESET)
		heard.outcome = LB_OUTCOME_OK;
	lb_check_ended(&health->canary_state, &canary_timing, &heard);
	return lb_suspect_canary(&health->suspect, &health->suspect_config, canary_fails(health),
				 lb_now_ns());
}

/* --- next hops -------------------------------------------------------------------------------------------
 */

static void set_lost(struct health *health, struct health_host *host, bool lost)
{
	host->nexthop_lost = lost;
	host->dirty = true;
	for (struct health_member *member = host->members; member; member = member->next_of_host) {
		member->circuit.nexthop_lost = lost;
		member->service->lively = true;
		judge_mark(health, member->service);
	}
}

/* Lost is what was there. */
static void look(struct health *health, struct health_host *host)
{
	struct lb_nexthop_state way;

	lb_nexthops_get(health->lbd->netlink.nexthops, &host->address, now_ms(), &way);
	host->had_nexthop |= way.resolved;
	if (host->nexthop_lost != (host->had_nexthop && !way.resolved))
		set_lost(health, host, !host->nexthop_lost);
}

void hosts_tick(struct health *health)
{
	for (int i = 0; health->host_turn && i < HOSTS_MAX; i++) {
		look(health, health->host_turn);
		health->host_turn = health->host_turn->hh.next;
	}
	if (!health->host_turn)
		health->host_turn = health->hosts;
}
