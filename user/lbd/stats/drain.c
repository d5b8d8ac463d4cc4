// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of backends that are draining, by their ids.
 */
#include "lbd/stats/drain.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lbd/clock.h"
#include "lbd/lbd.h"

struct drain {
	__u32 id; /* of the backend: its line in the counters */
	char service[LB_NAME_MAX], backend[LB_NAME_MAX];
	__u64 packets, looked_ms;            /* counted when it was last looked at */
	__u64 interval_packets, interval_ms; /* between the last two looks */
	__u64 last_packet_ms;                /* 0: none yet */
	bool leaving, told, met;
	UT_hash_handle hh;
};

static __u64 packets_of(const struct lbd *lbd, __u32 id)
{
	struct lb_counter sum;

	stats_backend(&lbd->maps.tables, id, &sum);
	return sum.tx_packets + sum.redirect_packets;
}

static struct drain *find(const struct lbd *lbd, __u32 id)
{
	struct drain *drain = NULL;

	HASH_FIND(hh, lbd->drains, &id, sizeof(id), drain);
	return drain;
}

static struct drain *add(struct lbd *lbd, const char *service, const struct lb_backend_view *backend)
{
	struct drain *drain = calloc(1, sizeof(*drain));

	if (!drain)
		return NULL;
	drain->id = backend->id;
	snprintf(drain->service, sizeof(drain->service), "%s", service);
	snprintf(drain->backend, sizeof(drain->backend), "%s", backend->name);
	drain->packets = packets_of(lbd, backend->id);
	drain->looked_ms = now_ms();
	HASH_ADD(hh, lbd->drains, id, sizeof(drain->id), drain);
	return drain;
}

static void forget(struct lbd *lbd, struct drain *drain)
{
	HASH_DEL(lbd->drains, drain);
	free(drain);
}

static void tell(struct lbd *lbd, struct drain *drain, const char *what)
{
	drain->told = true;
	events_add(&lbd->events, LOG_LEVEL_INFO, "drained", "service=%s backend=%s %s", drain->service,
		   drain->backend, what);
}

static void look_at(void *context, const char *service, const struct lb_backend_view *backend)
{
	struct lbd *lbd = context;
	struct drain *drain = find(lbd, backend->id);
	__u64 now = now_ms(), packets;

	/* The id may be another backend's by now. */
	if (drain && (strcmp(drain->backend, backend->name) != 0 || strcmp(drain->service, service) != 0)) {
		forget(lbd, drain);
		drain = NULL;
	}
	if (!drain) {
		drain = add(lbd, service, backend);
		if (!drain)
			return;
	}
	packets = packets_of(lbd, backend->id);
	drain->interval_packets = packets - drain->packets;
	drain->interval_ms = now - drain->looked_ms;
	drain->packets = packets;
	drain->looked_ms = now;
	if (drain->interval_packets)
		drain->last_packet_ms = now;
	drain->leaving = backend->leaving;
	drain->met = true;
	if (!backend->drained)
		drain->told = false;
	else if (!drain->told)
		tell(lbd, drain, backend->let_go ? "let_go=yes" : "let_go=no");
}

/* Whether the backend is gone for good, and not taken back. */
static bool is_gone(const struct lbd *lbd, const struct drain *drain)
{
	const struct lb_backend_meta *meta = &lbd->maps.tables.backend_meta[drain->id];

	return !meta->used || strcmp(meta->name, drain->backend) != 0;
}

void drain_look(struct lbd *lbd)
{
	struct drain *drain, *next;

	lb_engine_draining(lbd->engine, look_at, lbd);
	HASH_ITER (hh, lbd->drains, drain, next) {
		if (drain->met) {
			drain->met = false;
			continue;
		}
		if (drain->leaving && is_gone(lbd, drain))
			tell(lbd, drain, "gone=yes");
		forget(lbd, drain);
	}
}

void drain_forget_all(struct lbd *lbd)
{
	struct drain *drain, *next;

	HASH_ITER (hh, lbd->drains, drain, next)
		forget(lbd, drain);
}

void drain_packets(const struct lbd *lbd, __u32 id, struct drain_packets *ret_packets)
{
	const struct drain *drain = find(lbd, id);

	*ret_packets = (struct drain_packets){ .last_packet_ms = -1 };
	if (!drain)
		return;
	ret_packets->packets = drain->interval_packets;
	ret_packets->interval_ms = drain->interval_ms;
	if (drain->last_packet_ms)
		ret_packets->last_packet_ms = (__s64)(now_ms() - drain->last_packet_ms);
}

void drain_write(const struct lbd *lbd, const struct lb_backend_view *backend, __u32 limit_s,
		 struct json *json)
{
	struct drain_packets packets;

	if (!backend->draining) {
		json_null(json, "draining");
		return;
	}
	drain_packets(lbd, backend->id, &packets);
	json_object(json, "draining");
	json_u64(json, "for_s", backend->draining_s);
	json_u64(json, "limit_s", limit_s);
	json_bool(json, "drained", backend->drained);
	json_bool(json, "let_go", backend->let_go);
	json_u64(json, "packets", packets.packets);
	json_u64(json, "interval_ms", packets.interval_ms);
	if (packets.last_packet_ms < 0)
		json_null(json, "last_packet_s");
	else
		json_u64(json, "last_packet_s", packets.last_packet_ms / 1000);
	json_object_end(json);
}
