// SPDX-License-Identifier: GPL-2.0-only
/*
 * See places.h. Packets change places while we read them: a copy is taken between two looks at the state
 * word, and what we write is that word alone, if it is still the one we read.
 */
#include "observe/places.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lb/access.h"

#define GIVE_UP_NS 5000000000ull
#define GRACE_NS   2000000000ull

static bool copy_flow(const struct lb_observed *from, struct lb_observed *ret_flow)
{
	__u64 state = LB_LOAD(&from->state);

	if (LB_OBSERVE_PHASE(state) == LB_OBSERVE_FREE || LB_OBSERVE_PHASE(state) == LB_OBSERVE_BUSY)
		return false;
	memcpy(ret_flow, from, sizeof(*ret_flow));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	ret_flow->state = state;
	return LB_LOAD(&from->state) == state;
}

static bool set_state(struct lb_observed *place, __u64 from, __u64 to)
{
	return __atomic_compare_exchange_n(&place->state, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static bool free_place(struct lb_observed *place, __u64 state)
{
	return set_state(place, state, LB_OBSERVE_EMPTIED(state));
}

static __u64 silence_ns(const struct lb_observed *flow, __u64 now_ns)
{
	return now_ns > flow->seen_ns ? now_ns - flow->seen_ns : 0;
}

int lb_places_is_given_up(const struct lb_observed *flow, __u64 now_ns)
{
	__u64 limit_ns = 2 * (flow->seen_ns - flow->started_ns) + GRACE_NS;

	return silence_ns(flow, now_ns) > (limit_ns > GIVE_UP_NS ? limit_ns : GIVE_UP_NS);
}

/* Whether the level that is in force leaves the flow in. */
static bool is_sampled(const struct lb_observed *flow, __u32 level)
{
	return flow->hash <= (__u32)(LB_OBSERVE_LIMIT(level) >> 32);
}

/* Counts a flow's start, once. False: a packet was quicker, and its place is looked at again next time. */
static bool mark_start(struct lb_observed *place, struct lb_observed *flow,
		       const struct lb_places_hooks *hooks)
{
	if (flow->state & LB_OBSERVE_STARTED)
		return true;
	if (!set_state(place, flow->state, flow->state | LB_OBSERVE_STARTED))
		return false;
	flow->state |= LB_OBSERVE_STARTED;
	hooks->started(hooks->context, flow);
	return true;
}

static bool is_datagrams(const struct lb_observed *flow)
{
	return flow->protocol == IPPROTO_UDP;
}

static void look_at_handshake(struct lb_observed *place, struct lb_observed *flow, __u64 now_ns,
			      const struct lb_places_hooks *hooks)
{
	if (!mark_start(place, flow, hooks) || !lb_places_is_given_up(flow, now_ns) ||
	    !free_place(place, flow->state))
		return;
	if (is_datagrams(flow)) /* one was all there was to send */
		hooks->silent(hooks->context, flow);
	else
		hooks->gave_up(hooks->context, flow);
}

/* That a TCP flow began is told by the event of its handshake. */
static void look_at_connection(struct lb_observed *place, struct lb_observed *flow, __u64 now_ns,
			       const struct lb_places_hooks *hooks)
{
	if (is_datagrams(flow) && !mark_start(place, flow, hooks))
		return;
	if (silence_ns(flow, now_ns) <= hooks->idle_ns(hooks->context, flow))
		hooks->open(hooks->context, flow);
	else if (free_place(place, flow->state))
		hooks->silent(hooks->context, flow);
}

/* Whether there was a flow. */
static bool look_at(struct lb_observed *place, __u32 level, __u64 now_ns, const struct lb_places_hooks *hooks)
{
	struct lb_observed flow;

	if (!copy_flow(place, &flow))
		return false;
	if (!is_sampled(&flow, level))
		free_place(place, flow.state);
	else if (LB_OBSERVE_PHASE(flow.state) == LB_OBSERVE_HANDSHAKE)
		look_at_handshake(place, &flow, now_ns, hooks);
	else
		look_at_connection(place, &flow, now_ns, hooks);
	return true;
}

__u32 lb_places_look(struct lb_observe_cpu *block, __u32 level, __u64 now_ns,
		     const struct lb_places_hooks *hooks)
{
	__u32 used = 0;

	for (__u32 i = 0; i < LB_OBSERVE_HANDSHAKES; i++)
		look_at(&block->handshake[i], level, now_ns, hooks);
	for (__u32 i = 0; i < LB_OBSERVE_CONNECTIONS; i++)
		used += look_at(&block->connection[i], level, now_ns, hooks);
	return used * 1000 / LB_OBSERVE_CONNECTIONS;
}

/* --- clients ---------------------------------------------------------------------------------------------
 */

static void add_client(struct lb_clients *clients, const struct lb_observed *place)
{
	struct lb_observed flow;

	if (copy_flow(place, &flow))
		clients->list[clients->n++] =
			(struct lb_client){ .tag = flow.tag,
					    .address = { flow.client[0], flow.client[1] },
					    .port = flow.client_port,
					    .family = flow.family };
}

static int compare(const void *a, const void *b)
{
	const struct lb_client *left = a, *right = b;

	return left->tag < right->tag ? -1 : left->tag > right->tag;
}

int lb_clients_read(const struct lb_observe_cpu *blocks, __u32 cpus, struct lb_clients *ret_clients)
{
	size_t most = (size_t)cpus * (LB_OBSERVE_HANDSHAKES + LB_OBSERVE_CONNECTIONS);
	struct lb_clients clients = { .list = calloc(most + 1, sizeof(*clients.list)) };

	if (!clients.list)
		return -ENOMEM;
	for (__u32 cpu = 0; cpu < cpus; cpu++) {
		for (__u32 i = 0; i < LB_OBSERVE_HANDSHAKES; i++)
			add_client(&clients, &blocks[cpu].handshake[i]);
		for (__u32 i = 0; i < LB_OBSERVE_CONNECTIONS; i++)
			add_client(&clients, &blocks[cpu].connection[i]);
	}
	qsort(clients.list, clients.n, sizeof(*clients.list), compare);
	*ret_clients = clients;
	return 0;
}

void lb_clients_done(struct lb_clients *clients)
{
	free(clients->list);
	*clients = (struct lb_clients){};
}

const struct lb_client *lb_clients_find(const struct lb_clients *clients, __u64 tag)
{
	const struct lb_client key = { .tag = tag };

	return clients->n ? bsearch(&key, clients->list, clients->n, sizeof(key), compare) : NULL;
}
