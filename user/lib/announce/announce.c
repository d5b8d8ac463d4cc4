// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VIPs are announced. See announce.h for the rules.
 */
#include "announce/announce.h"

const char *lb_fleet_name(enum lb_fleet member)
{
	static const char *const names[] = { "joined", "draining", "withdrawn", "left" };

	return names[member];
}

const char *lb_announce_state_name(enum lb_announce_state state)
{
	static const char *const names[] = { "withdrawn", "serving", "draining" };

	return names[state];
}

/* What the services of a VIP can do together. */
enum ability { CAN_SERVE, IS_EMPTY, CANNOT_SERVE };

static enum ability ability_of(const struct lb_announce_host *host,
			       const struct lb_announce_service *services, size_t n)
{
	size_t serving = 0, keeping = 0;

	for (size_t i = 0; i < n; i++) {
		serving += services[i].active > 0 && services[i].active >= services[i].min_active;
		keeping += services[i].active == 0 && services[i].on_empty == LB_ON_EMPTY_KEEP;
	}
	if (n && serving >= (host->serve_if == LB_SERVE_IF_ALL ? n : 1))
		return CAN_SERVE;
	if (host->serve_if == LB_SERVE_IF_ALL ? keeping && serving + keeping == n : keeping > 0)
		return IS_EMPTY;
	return CANNOT_SERVE;
}

static bool become(struct lb_announce_vip *vip, enum lb_announce_state state, const char *why)
{
	bool changed = vip->state != state;

	vip->state = state;
	vip->why = why;
	return changed;
}

/* The state of a VIP that is announced, by what the balancer is about to do. */
static bool announce(struct lb_announce_vip *vip, const struct lb_announce_host *host, const char *why)
{
	vip->withdrawn_ms = 0;
	if (host->member == LB_FLEET_DRAINING)
		return become(vip, LB_ANNOUNCE_DRAINING, "the balancer is leaving");
	return become(vip, LB_ANNOUNCE_SERVING, why);
}

bool lb_announce_decide(struct lb_announce_vip *vip, const struct lb_announce_host *host,
			const struct lb_announce_service *services, size_t n, __u64 now_ms,
			__u64 *ret_again_ms)
{
	enum ability ability = ability_of(host, services, n);

	*ret_again_ms = 0;
	if (n == 0)
		return become(vip, LB_ANNOUNCE_WITHDRAWN, "no service asks for it");
	if (host->member == LB_FLEET_WITHDRAWN || host->member == LB_FLEET_LEFT)
		return become(vip, LB_ANNOUNCE_WITHDRAWN, "the balancer has left");
	if (!host->attached)
		return become(vip, LB_ANNOUNCE_WITHDRAWN, "XDP is attached to no interface");
	if (ability == IS_EMPTY && vip->state != LB_ANNOUNCE_WITHDRAWN)
		return announce(vip, host, "no backend is active, but it was announced (on_empty: keep)");
	if (ability != CAN_SERVE) {
		if (vip->state != LB_ANNOUNCE_WITHDRAWN)
			vip->withdrawn_ms = now_ms;
		return become(vip, LB_ANNOUNCE_WITHDRAWN, "too few backends are active and resolved");
	}
	if (vip->withdrawn_ms && now_ms - vip->withdrawn_ms < host->hold_down_ms) {
		*ret_again_ms = vip->withdrawn_ms + host->hold_down_ms;
		return become(vip, LB_ANNOUNCE_WITHDRAWN, "held down: it was withdrawn just now");
	}
	return announce(vip, host, "enough backends are active");
}

static bool enter(struct lb_leave *leave, enum lb_fleet member, bool gave_up, __u64 now_ms)
{
	leave->member = member;
	leave->since_ms = now_ms;
	leave->last_packet_ms = now_ms;
	leave->gave_up = gave_up;
	return true;
}

void lb_leave_begin(struct lb_leave *leave, __u64 now_ms)
{
	if (leave->member == LB_FLEET_JOINED)
		enter(leave, LB_FLEET_DRAINING, false, now_ms);
}

void lb_leave_join(struct lb_leave *leave, __u64 now_ms)
{
	if (leave->member != LB_FLEET_JOINED)
		enter(leave, LB_FLEET_JOINED, false, now_ms);
}

bool lb_leave_step(struct lb_leave *leave, const struct lb_leave_limits *limits, __u32 unsettled,
		   __u64 packets, __u64 now_ms)
{
	__u64 age = now_ms - leave->since_ms;
	bool late;

	if (packets != leave->packets)
		leave->last_packet_ms = now_ms;
	leave->packets = packets;
	switch (leave->member) {
	case LB_FLEET_DRAINING:
		/* Flows of unsettled slots would not survive the way to another balancer. */
		late = age >= limits->settle_ms;
		if (age < limits->drain_ms || (unsettled && !late))
			return false;
		return enter(leave, LB_FLEET_WITHDRAWN, unsettled && late, now_ms);
	case LB_FLEET_WITHDRAWN:
		late = age >= limits->withdrawn_ms;
		if (now_ms - leave->last_packet_ms < limits->quiet_ms && !late)
			return false;
		return enter(leave, LB_FLEET_LEFT, late, now_ms);
	case LB_FLEET_JOINED:
	case LB_FLEET_LEFT:
		break;
	}
	return false;
}
