// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draining: backends that get no new flows and are kept for their old ones, because somebody said so or
 * because they are no longer configured (then they are leaving). When nothing is left of one, and when it is
 * no longer waited for.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <string.h>

void lb_drain_start(const struct lb_engine *engine, struct lb_member *member)
{
	member->left_s = member->reached_s = lb_engine_clock(engine);
	member->clean_passes = 0;
	member->unnamed = false;
	member->let_go = false;
}

/* QUIC connections are known by their IDs, not by flow entries: that some live is seen from packets alone. */
static void listen_to(const struct lb_engine *engine, struct lb_service *service,
		      const struct lb_member *member)
{
	struct lb_server_id *server_id = &service->server_ids[member - service->members];
	const struct lb_tables *tables = engine->tables;
	__u64 packets = 0;

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		const struct lb_counter *line =
			&tables->counters[(size_t)cpu * tables->sizes.counters + member->id];

		packets += line->tx_packets + line->redirect_packets;
	}
	if (packets != server_id->packets)
		server_id->heard_s = lb_engine_clock(engine);
	server_id->packets = packets;
}

/* Whoever is named by no slot now cannot be named by one later, unless it is taken back. */
void lb_drain_begin_pass(const struct lb_engine *engine, struct lb_service *service, struct lb_member *member)
{
	if (service->server_ids)
		listen_to(engine, service, member);
	member->unnamed = !member->slots_cur && !member->slots_base;
	if (lb_nexthop_table_at(&engine->nexthops, member->nexthop)->resolved)
		member->reached_s = lb_engine_clock(engine);
}

/* Those of QUIC: until none was heard of for the idle timeout. */
static bool may_have_connections(const struct lb_engine *engine, const struct lb_service *service,
				 const struct lb_member *member)
{
	const struct lb_server_id *server_id =
		lb_service_server_id(service, (__u32)(member - service->members));
	__u32 now = lb_engine_clock(engine);

	if (!service->config || !lb_member_draining(member) || !server_id->bytes ||
	    lb_drain_let_go(engine, service, member))
		return false;
	return now - member->left_s <= service->config->idle_timeout_s ||
	       now - server_id->heard_s <= service->config->idle_timeout_s;
}

void lb_drain_end_pass(const struct lb_engine *engine, const struct lb_service *service,
		       struct lb_member *member)
{
	if (!member->unnamed || member->seen_pass == engine->sweep.begun ||
	    may_have_connections(engine, service, member))
		member->clean_passes = 0;
	else if (member->clean_passes < LB_CLEAN_PASSES)
		member->clean_passes++;
}

bool lb_drain_is_over(const struct lb_member *member)
{
	return member->clean_passes == LB_CLEAN_PASSES && !member->slots_cur && !member->slots_base;
}

bool lb_drain_let_go(const struct lb_engine *engine, const struct lb_service *service,
		     const struct lb_member *member)
{
	__u32 now = lb_engine_clock(engine);

	if (!lb_member_draining(member) || !service->config)
		return false;
	return member->let_go || now - member->left_s > service->config->drain_limit_s ||
	       (member->leaving && now - member->reached_s > LB_ENGINE_UNREACHED_S);
}

int lb_engine_let_go(struct lb_engine *engine, const char *name, const char *backend)
{
	struct lb_service *service = lb_engine_find(engine, name);
	bool found = false;

	service = service ? lb_service_lead(service) : NULL;
	for (__u32 i = 0; service && i < service->vip.backend_count; i++) {
		struct lb_member *member = &service->members[i];

		if (!member->leaving || !lb_member_draining(member) ||
		    strcmp(lb_member_name(engine, member), backend) != 0)
			continue;
		member->let_go = found = true;
	}
	return found ? 0 : -ENOENT;
}

void lb_engine_draining(struct lb_engine *engine,
			void (*each)(void *context, const char *service,
				     const struct lb_backend_view *backend),
			void *context)
{
	for (__u32 id = 0; id < engine->tables->sizes.services; id++) {
		const struct lb_service *service = engine->by_id[id];

		/* Those that share a ring have none of their own. */
		for (__u32 i = 0; service && service->n_leaving && i < service->vip.backend_count; i++) {
			struct lb_backend_view view;

			if (!lb_member_draining(&service->members[i]))
				continue;
			lb_engine_view_member(engine, service, i, &view);
			each(context, service->name, &view);
		}
		if (service && service->n_leaving)
			lb_engine_pause(engine);
	}
}
