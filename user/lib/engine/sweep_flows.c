// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweeper's work on one bucket of the flow table: expire, count, tell settling slots who disagrees, and
 * make tombs empty again. Packets claim and refresh places at the same time; every change here is a
 * compare-and-swap against the word that the judgement was made on.
 *
 * A place is given up as a TOMB first, and becomes EMPTY at once only if another place of its bucket is EMPTY
 * when looked at after that: then nobody can have passed the bucket by. (Going to EMPTY directly could not
 * exclude that the other place is claimed in between, and a flow inserted further on would be lost.)
 */
#include "engine/engine_internal.h"

#include <netinet/in.h>

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

/* A handshake that is never completed, or a connection that was reset, is forgotten after this time. */
#define SHORT_TIMEOUT_S 60u
/* Ages are known modulo 2^16 seconds. */
#define TIMEOUT_MAX_S 60000u

/* The longest silence of a flow with a given word and marks (struct lb_flow_numbers: rest). */
static __u32 timeout_of(const struct lb_service *service, __u64 word, __u64 rest)
{
	__u32 idle = service->config->idle_timeout_s, half_closed = service->config->half_closed_timeout_s;
	bool over = lb_flow_state(word) == LB_FLOW_EMBRYONIC || rest & LB_NUMBERS_RST;

	if (idle > TIMEOUT_MAX_S)
		idle = TIMEOUT_MAX_S;
	if (service->key.protocol != IPPROTO_TCP)
		return idle;
	if (over)
		return idle < SHORT_TIMEOUT_S ? idle : SHORT_TIMEOUT_S;
	return rest & LB_NUMBERS_FIN && half_closed ? half_closed : idle;
}

/* Whether a flow is to be forgotten; if not, it is counted. */
static bool judge(struct lb_engine *engine, __u64 word, __u64 rest)
{
	__u32 id = lb_flow_service(word), index = lb_flow_backend(word), number, slot;
	__u64 pass = engine->sweep.begun;
	struct lb_service *service = id < engine->tables->sizes.services ? engine->by_id[id] : NULL;

	if (!service) {
		engine->gone_seen[id] = pass;
		return true;
	}
	service = lb_service_lead(service);
	if (index >= service->vip.backend_count || !service->members[index].used)
		return true;
	service->members[index].seen_pass = (__u32)pass;
	if (lb_member_dead(&service->members[index]) ||
	    lb_drain_let_go(engine, service, &service->members[index]))
		return true;
	if (service->config && lb_flow_age_s(word, lb_engine_clock(engine)) > timeout_of(service, word, rest))
		return true;
	number = lb_flow_hash(word) & service->vip.ring_mask;
	slot = lb_engine_ring(engine, lb_vip_ring_line(&service->vip))[number];
	if (lb_slot_cur(slot) == index && lb_slot_base(slot) == index && !(slot & LB_SLOT_LEARNING))
		return true;
	/* Seen once in all the time that base was kept for it: it proves nothing. */
	if (lb_slot_cur(slot) != index && lb_slot_cur(slot) == lb_slot_base(slot) &&
	    service->key.protocol == IPPROTO_TCP && lb_flow_state(word) == LB_FLOW_ONCE)
		return true;
	if (lb_slot_cur(slot) != index && service->ready)
		lb_ready_set(service->ready, number, false);
	return false;
}

static void count(struct lb_engine *engine, __u64 word)
{
	struct lb_service *service = engine->by_id[lb_flow_service(word)];

	lb_count_add(&service->entries, engine->sweep.begun);
	service = lb_service_lead(service);
	lb_count_add(&service->members[lb_flow_backend(word)].entries, engine->sweep.begun);
	engine->sweep.entries++;
	engine->sweep.embryonic += lb_flow_state(word) == LB_FLOW_EMBRYONIC;
}

static bool replace(struct lb_flow *flow, __u64 from, __u64 to)
{
	return __sync_bool_compare_and_swap(&flow->word, from, to);
}

static bool has_other_empty(const struct lb_flow_bucket *bucket, const struct lb_flow *flow)
{
	for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
		if (&bucket->flow[i] != flow && LB_LOAD(&bucket->flow[i].word) == LB_FLOW_EMPTY)
			return true;
	}
	return false;
}

/* Whether a flow further on has its home at or before a bucket, or may have. *work: buckets read. */
static bool passed_by(const struct lb_engine *engine, __u32 bucket, size_t *work)
{
	__u32 mask = engine->tables->sizes.flow_buckets - 1;

	for (__u32 distance = 1; distance < LB_FLOW_PROBES; distance++) {
		__u32 further = (bucket + distance) & mask;
		const struct lb_flow *flow = engine->tables->flows[further].flow;
		bool end = false;

		(*work)++;
		for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
			__u64 word = LB_LOAD(&flow[i].word), tag;

			end |= word == LB_FLOW_EMPTY;
			if (word <= LB_FLOW_TOMB_OLD)
				continue;
			tag = LB_LOAD(&flow[i].tag);
			if (!lb_flow_state(word) || LB_LOAD(&flow[i].word) != word ||
			    ((further - (__u32)tag) & mask) >= distance)
				return true;
		}
		if (end)
			return false;
	}
	return false;
}

static void give_up(struct lb_engine *engine, const struct lb_flow_bucket *bucket, struct lb_flow *flow)
{
	engine->dirty = true;
	if (!has_other_empty(bucket, flow) || !replace(flow, LB_FLOW_TOMB, LB_FLOW_EMPTY))
		engine->sweep.tombs++;
}

static void age_tomb(struct lb_engine *engine, __u32 number, struct lb_flow *flow, __u64 word, size_t *work)
{
	const struct lb_flow_bucket *bucket = &engine->tables->flows[number];

	if (has_other_empty(bucket, flow) || (word == LB_FLOW_TOMB_OLD && !passed_by(engine, number, work))) {
		(void)replace(flow, word, LB_FLOW_EMPTY);
		return;
	}
	engine->sweep.tombs++;
	if (word == LB_FLOW_TOMB)
		(void)replace(flow, word, LB_FLOW_TOMB_OLD);
}

size_t lb_sweep_bucket(struct lb_engine *engine, __u32 number)
{
	struct lb_flow_bucket *bucket = &engine->tables->flows[number];
	size_t work = 1;

	for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
		struct lb_flow *flow = &bucket->flow[i];
		__u64 word = LB_LOAD(&flow->word);

		/* A packet may refresh the flow between the judgement and the swap: judge again. */
		while (lb_flow_state(word)) {
			if (!judge(engine, word, LB_LOAD(&bucket->flow[i].numbers.rest))) {
				count(engine, word);
				break;
			}
			if (replace(flow, word, LB_FLOW_TOMB)) {
				give_up(engine, bucket, flow);
				break;
			}
			word = LB_LOAD(&flow->word);
		}
		if (word == LB_FLOW_TOMB || word == LB_FLOW_TOMB_OLD)
			age_tomb(engine, number, flow, word, &work);
		else if (word == LB_FLOW_BUSY)
			engine->sweep.tombs++;
	}
	return work;
}
