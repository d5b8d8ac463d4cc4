// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether lb-checkd can have as many checks under way at once as there would be if nobody answered: each
 * takes a descriptor, and through the packet path a port. Said when there come to be more, before it happens;
 * should it happen, checks begin late, and nothing else follows.
 */
#include "lbd/health/health_internal.h"

/* The most that the target has under way at once when it stays silent. */
static __u64 at_once(const struct lb_config_check *check)
{
	__u32 interval_ms =
		check->down_interval_ms < check->interval_ms ? check->down_interval_ms : check->interval_ms;
	__u32 n = (check->timeout_ms + interval_ms - 1) / interval_ms;

	return n < 1 ? 1 : n < LB_CHECK_PENDING_MAX ? n : LB_CHECK_PENDING_MAX;
}

static void count(const struct health *health, struct health_room *ret_room)
{
	__u64 ports[2][2] = {}, *of;

	*ret_room = (struct health_room){};
	for (const struct health_target *target = health->targets; target; target = target->hh.next) {
		__u64 n = target->removing || target->held ? 0 : at_once(&target->check);

		ret_room->checks += n;
		if (target->check.target != LB_CHECK_TARGET_VIP || target->direct)
			continue;
		of = &ports[target->check.address.family == LB_FAMILY_V6][target->check.kind == LB_CHECK_UDP];
		*of += n;
		ret_room->ports = *of > ret_room->ports ? *of : ret_room->ports;
	}
}

void room_judge(struct health *health)
{
	const struct lb_message_state *checkd = &health->checkd;
	bool was = health->room.too_small;

	count(health, &health->room);
	health->room.too_small =
		checkd->room && (health->room.checks > checkd->room || health->room.ports > checkd->ports);
	if (health->room.too_small && !was)
		events_add(
			&health->lbd->events, LOG_LEVEL_WARNING, "health",
			"lb-checkd=too-small checks=%llu room=%u ports=%llu port_room=%u cause=\"if no "
			"backend "
			"answers there are so many checks at once: they would begin late; see lb-checkd(8)\"",
			health->room.checks, checkd->room, health->room.ports, checkd->ports);
}
