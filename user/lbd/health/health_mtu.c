// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large a packet gets through to a backend, by echo requests to the VIP in the backend's tunnel
 * (net/path_search.h). Routers on the way tell of less by ICMP, but to the tunnel's source, which mostly is
 * nobody's address. One search for each address of backends, by the first check that goes through the packet
 * path to it; what is found is the next hops' to keep, and to forget (net/path_mtu.h).
 */
#include "lbd/clock.h"
#include "lbd/health/health_internal.h"
#include "lbd/kernel/check_path.h"
#include "net/header.h"

#define HOSTS_MAX 64                                /* looked at in one turn of the clock */
#define LOST_MS   (LB_PATH_SEARCH_TIMEOUT_MS + 600) /* what is not heard of by then never is */
#define PAUSE_MS  10000u                            /* where it could not be asked */

/* --- what is asked ---------------------------------------------------------------------------------------
 */

static bool goes_through(const struct health_target *target)
{
	return target && !target->removing && target->check.target == LB_CHECK_TARGET_VIP &&
	       target->entered && !target->held && !target->direct && !target->unsent &&
	       target->check.forward != LB_FORWARD_L2;
}

static struct health_target *find_target(const struct health_host *host)
{
	for (const struct health_member *member = host->members; member; member = member->next_of_host) {
		if (goes_through(member->target))
			return member->target;
	}
	return NULL;
}

static unsigned int overhead_of(const struct health_target *target)
{
	return lb_header_overhead(target->check.forward, target->check.via.family);
}

/* What an address without a search has been found to take is forgotten in time. */
static void look(struct health *health, struct health_host *host, __u64 now)
{
	struct health_target *target = find_target(host);
	struct lb_nexthop_state way;
	__u16 most, bytes;

	if (!target || (host->asked_ms && now < host->asked_ms + LOST_MS))
		return;
	lb_nexthops_get(health->lbd->netlink.nexthops, &host->address, now, &way);
	if (!way.resolved || way.local)
		return;
	/* A router says that less fits than was found: it is tried at once, and now and then. */
	if (way.mtu_from == LB_MTU_FROM_ROUTER && way.mtu < host->search.found &&
	    now > host->doubted_ms + LOST_MS * 10) {
		host->doubted_ms = now;
		lb_path_search_again(&host->search);
	}
	most = (__u16)(way.mtu_most < LB_ECHO_BYTES_MAX ? way.mtu_most : LB_ECHO_BYTES_MAX);
	bytes = lb_path_search_ask(
		&host->search, host->address.family == LB_FAMILY_V4 ? LB_PATH_MTU_MIN_V4 : LB_PATH_MTU_MIN_V6,
		most, now);
	if (!bytes || !link_echo(health, target, bytes - overhead_of(target), LB_PATH_SEARCH_TIMEOUT_MS))
		return;
	host->asked_ms = now;
	host->asked = bytes;
}

void mtu_tick(struct health *health)
{
	__u64 now = now_ms();

	if (health->link < 0 || health->blocked || !health->path || !health->checkd.may_echo ||
	    !health->lbd->running.config->checker.path_mtu)
		return;
	for (int i = 0; health->mtu_turn && i < HOSTS_MAX; i++) {
		look(health, health->mtu_turn, now);
		health->mtu_turn = health->mtu_turn->hh.next;
	}
	if (!health->mtu_turn)
		health->mtu_turn = health->hosts;
}

/* --- what is answered ------------------------------------------------------------------------------------
 */

static void tell(struct health *health, const struct health_host *host)
{
	char text[LB_ADDRESS_TEXT_MAX];

	events_add(&health->lbd->events, LOG_LEVEL_INFO, "path_mtu", "to=%s mtu=%u found_by=echo",
		   lb_address_text(&host->address, text), host->search.found);
}

static void found(struct health *health, const struct health_host *host, __u64 now)
{
	const struct lb_path_search *search = &host->search;
	struct lbd *lbd = health->lbd;

	if (!lb_nexthops_found_mtu(lbd->netlink.nexthops, &host->address,
				   search->found == search->most ? 0 : search->found, now))
		return;
	tell(health, host);
	lbd->netlink.changed(lbd->netlink.context, LB_NEXTHOPS_CHANGED);
}

void mtu_result(struct health *health, struct health_target *target, const struct lb_message_result *result)
{
	struct health_host *host = target->members ? target->members->host : NULL;
	__u64 now = now_ms();

	if (!host || !host->asked_ms || result->bytes + overhead_of(target) != host->asked)
		return;
	/* It did not leave, or by another way: that says nothing of its size. */
	if ((result->outcome != LB_OUTCOME_OK && result->outcome != LB_OUTCOME_TIMEOUT) || !health->path ||
	    !check_path_saw(health->path, target->id, result->begin_ns)) {
		host->asked_ms = now + PAUSE_MS;
		host->asked = 0;
		return;
	}
	host->asked_ms = 0;
	if (lb_path_search_heard(&host->search, result->outcome == LB_OUTCOME_OK, now))
		found(health, host, now);
}

bool health_knows_path(const struct lbd *lbd, const struct lb_address *address)
{
	struct health_host *host = NULL;

	if (lbd->health)
		HASH_FIND(hh, lbd->health->hosts, address, sizeof(*address), host);
	return host && host->search.found;
}
