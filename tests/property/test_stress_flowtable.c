// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table under threads, built with ThreadSanitizer: packet threads find, claim and refresh flows in a
 * table that is too small for them, while the engine's sweeper expires, turns tombs and counts. A grace
 *period is what RCU makes of it: every packet thread has been between two packets.
 *
 * Most flows have one thread that sends their packets, so that the thread knows what must be found:
 *   - a found flow is the one that was asked for: its backend is a function of its tag (no mixing, no ABA);
 *   - an established flow that is young enough is found, whatever others insert and the sweeper does.
 * Some are everybody's, and all of these have the same service and hash: only the tag tells them apart, and a
 * place may be given to another of them between a reader's two loads.
 * The last phase stops the packets and checks that no flow is there twice and that the table empties.
 *
 *	test_stress_flowtable [SECONDS]
 */
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine_internal.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"
#include "lb/slot.h"

enum { THREADS = 3, FLOWS_PER_THREAD = 150, SHARED_FLOWS = 60, BUCKETS = 64, BACKENDS = 6, IDLE_S = 12 };

struct flow {
	__u64 tag;
	__u32 hash;
	bool established;
	__u32 seen;
};

struct worker {
	pthread_t thread;
	struct stress *stress;
	unsigned int number;
	__u64 random;
	__u64 turns; /* atomic: packets done; odd while one is being decided */
	struct flow flows[FLOWS_PER_THREAD];
	__u64 inserted, found, refused, lost, mixed;
};

struct stress {
	struct lb_tables tables;
	struct lb_engine *engine;
	bool stop; /* atomic */
	struct worker workers[THREADS];
	__u64 shared[SHARED_FLOWS]; /* tags; the highest bit is set */
};

#define SHARED (1ull << 63)

static __u32 random_below(__u64 *state, __u32 n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (__u32)((*state * 0x2545f4914f6cdd1dull >> 32) * n >> 32);
}

static __u32 backend_of(const struct flow *flow)
{
	return 2 + (__u32)(flow->tag >> 40) % (BACKENDS - 2);
}

/* --- packets ------------------------------------------------------------------------------------- */

/* As the packet path: at home, then everywhere. */
static int find(struct worker *worker, __u64 tag, __u64 identity, __u32 now, struct lb_flow_place *place)
{
	void *flows = worker->stress->tables.flows;

	return lb_flow_find_home(flows, BUCKETS - 1, tag, identity, 0, place) ||
	       lb_flow_find(flows, BUCKETS - 1, tag, lb_flow_question(identity, 0, now), 0, place);
}

static void insert(struct worker *worker, struct flow *flow, __u32 now)
{
	void *flows = worker->stress->tables.flows;
	__u64 identity = lb_flow_word(0, 0, flow->hash, 0, 0);
	struct lb_flow_place place;

	for (int turn = 0; turn < 3; turn++) {
		if (lb_flow_find(flows, BUCKETS - 1, flow->tag, lb_flow_question(identity, 0, now), 0,
				 &place))
			return;
		if (place.number == LB_FLOW_NOWHERE)
			break;
		if (lb_flow_claim(flows, &place, flow->tag,
				  identity | lb_flow_word(backend_of(flow), LB_FLOW_EMBRYONIC, 0, 0, now),
				  NULL)) {
			worker->inserted++;
			flow->seen = now;
			flow->established = false;
			return;
		}
	}
	worker->refused++;
}

/* A flow that belongs to all threads: found or not, it is never another one. */
static void shared_packet(struct worker *worker)
{
	__u64 tag = worker->stress->shared[random_below(&worker->random, SHARED_FLOWS)];
	__u32 now = LB_LOAD(&worker->stress->tables.control->clock_s);
	struct flow flow = { .tag = tag, .hash = 7 };
	void *flows = worker->stress->tables.flows;
	struct lb_flow_place place;

	if (!find(worker, tag, lb_flow_word(0, 0, 7, 0, 0), now, &place)) {
		insert(worker, &flow, now);
		return;
	}
	worker->found++;
	worker->mixed += lb_flow_backend(place.word) != backend_of(&flow);
	/* Closed soon, so that places go from one to another. */
	if (random_below(&worker->random, 2))
		lb_flow_touch(flows, &place, LB_FLOW_EMBRYONIC, now - IDLE_S - 1);
}

static void packet(struct worker *worker, struct flow *flow)
{
	void *flows = worker->stress->tables.flows;
	__u32 now = LB_LOAD(&worker->stress->tables.control->clock_s);
	__u64 identity = lb_flow_word(0, 0, flow->hash, 0, 0);
	bool young = flow->established && now - flow->seen < IDLE_S - 5;
	struct lb_flow_place place;

	if (!find(worker, flow->tag, identity, now, &place)) {
		worker->lost += young;
		insert(worker, flow, now);
		return;
	}
	worker->found++;
	if (lb_flow_backend(place.word) != backend_of(flow) || lb_flow_identity(place.word) != identity)
		worker->mixed++;
	/* What was just about to be given up or evicted may be so still. */
	flow->established = young || (lb_flow_state(place.word) == LB_FLOW_ESTABLISHED &&
				      lb_flow_age_s(place.word, now) < IDLE_S - 5);
	flow->seen = now;
	lb_flow_touch(flows, &place, LB_FLOW_ESTABLISHED, now);
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;

	while (!__atomic_load_n(&worker->stress->stop, __ATOMIC_RELAXED)) {
		/* A few of many, for a while: flows come, live, and are left. */
		__u32 first = (__u32)(worker->turns / 6000 * 40 % FLOWS_PER_THREAD);
		__u32 n = (first + random_below(&worker->random, 60)) % FLOWS_PER_THREAD;

		__atomic_add_fetch(&worker->turns, 1, __ATOMIC_SEQ_CST);
		if (random_below(&worker->random, 3))
			packet(worker, &worker->flows[n]);
		else
			shared_packet(worker);
		__atomic_add_fetch(&worker->turns, 1, __ATOMIC_SEQ_CST);
		if (random_below(&worker->random, 64) == 0)
			sched_yield();
	}
	return NULL;
}

/* --- the agent ----------------------------------------------------------------------------------- */

static int wait_for_packets(void *context)
{
	struct stress *stress = context;

	for (int i = 0; i < THREADS; i++) {
		__u64 turns = __atomic_load_n(&stress->workers[i].turns, __ATOMIC_SEQ_CST);

		while (turns % 2 && __atomic_load_n(&stress->workers[i].turns, __ATOMIC_SEQ_CST) == turns)
			sched_yield();
	}
	return 0;
}

/* Every slot is (1, 0), and later (1, 1): entries that name 2..5 are never redundant. */
static int set_up(struct stress *stress, struct lb_engine_hooks *hooks, struct lb_config *config)
{
	const struct lb_table_sizes sizes = { .cpus = 1,
					      .vip_buckets = LB_VIP_BUCKETS,
					      .ring_lines = LB_CHUNK_LINES,
					      .stamp_lines = LB_CHUNK_LINES,
					      .backends = LB_CHUNK_LINES,
					      .counters = 64,
					      .services = 4,
					      .flow_buckets = BUCKETS };
	struct lb_config_service *service = config->services;
	struct lb_error error = {};
	int r = lb_tables_new_memory(&sizes, &stress->tables);

	if (r == 0)
		r = lb_engine_new(&stress->tables, hooks, &stress->engine, &error);
	for (int version = 0; r == 0 && version < 2; version++) {
		struct lb_desired desired = { .config = &config[version] };
		struct lb_plan *plan;

		service = config[version].services;
		strcpy(service->name, "stress");
		service->vip = (struct lb_prefix){ { LB_FAMILY_V4, { 203, 0, 113, 1 } }, 32 };
		service->protocol = IPPROTO_TCP;
		service->port_first = service->port_last = 80;
		service->ring_size = 64;
		service->idle_timeout_s = IDLE_S;
		service->drain_limit_s = 86400;
		service->n_backends = BACKENDS;
		for (int b = 0; b < BACKENDS; b++) {
			snprintf(service->backends[b].name, LB_NAME_MAX, "b%d", b);
			service->backends[b].address =
				(struct lb_address){ LB_FAMILY_V4, { 10, 0, 0, (__u8)(b + 1) } };
			service->backends[b].weight = b == version;
		}
		r = lb_engine_plan(stress->engine, &desired, &plan, &error);
		if (r == 0)
			r = lb_engine_commit(stress->engine, plan, &error);
		lb_plan_free(plan);
	}
	if (r < 0)
		fprintf(stderr, "# %s\n", error.text);
	return r;
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * As if every slot were still waiting for its old flows. Packets insert here whatever slots say, also when
 * those have settled (stamps hold them for so long only): a pass must begin then, too.
 */
static void keep_slots(struct stress *stress)
{
	struct lb_service_view view;

	stress->engine->sweep.moved = true;
	if (lb_engine_service(stress->engine, 0, &view) < 0)
		abort();
	for (int s = 0; s < 64; s++)
		LB_STORE(&stress->tables.stamps[view.ring_line].stamp_s[s], stress->tables.control->clock_s);
}

static __u64 sweep(struct stress *stress, double seconds)
{
	double end = seconds_now() + seconds;
	struct lb_engine_usage usage;
	__u64 random = 99, now_s = 1;

	while (seconds_now() < end) {
		keep_slots(stress);
		now_s += random_below(&random, 4) == 0;
		lb_engine_tick(stress->engine, now_s, random_below(&random, 100));
		sched_yield();
	}
	lb_engine_get_usage(stress->engine, &usage);
	return usage.sweeps;
}

/* --- verdict ------------------------------------------------------------------------------------- */

static int tests_done, tests_failed;

static void verdict(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests_done, name);
	tests_failed += !good;
}

static unsigned int count_twins(const struct stress *stress)
{
	unsigned int twins = 0;

	for (int i = 0; i < BUCKETS * 4; i++) {
		const struct lb_flow *one = &stress->tables.flows[i / 4].flow[i % 4];

		for (int k = 0; k < i; k++) {
			const struct lb_flow *other = &stress->tables.flows[k / 4].flow[k % 4];

			twins += lb_flow_state(one->word) && lb_flow_state(other->word) &&
				 one->tag == other->tag && !(one->tag & SHARED);
		}
	}
	return twins;
}

static unsigned int count_left(const struct stress *stress)
{
	unsigned int left = 0;

	for (int b = 0; b < BUCKETS; b++) {
		for (int i = 0; i < 4; i++)
			left += stress->tables.flows[b].flow[i].word != LB_FLOW_EMPTY;
	}
	return left;
}

int main(int argc, char **argv)
{
	static struct lb_config_backend backends[2][BACKENDS];
	static struct lb_config_service services[2];
	static struct lb_config configs[2];
	static struct stress stress;
	struct lb_engine_hooks hooks = { .context = &stress, .grace = wait_for_packets };
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	__u64 found = 0, lost = 0, mixed = 0, inserted = 0, refused = 0, sweeps;

	for (int version = 0; version < 2; version++) {
		services[version].backends = backends[version];
		configs[version].services = &services[version];
		configs[version].n_services = 1;
	}
	if (set_up(&stress, &hooks, configs) < 0)
		return 1;
	for (__u32 i = 0; i < SHARED_FLOWS; i++)
		stress.shared[i] = lb_mix64(i + 1) << 4 | SHARED;
	for (unsigned int t = 0; t < THREADS; t++) {
		struct worker *worker = &stress.workers[t];

		worker->stress = &stress;
		worker->random = t + 1;
		for (__u32 i = 0; i < FLOWS_PER_THREAD; i++) {
			worker->flows[i].tag = (lb_mix64((__u64)(t + 1) << 32 | i) | 1) & ~SHARED;
			worker->flows[i].hash = (__u32)(worker->flows[i].tag >> 20) & 0xffff;
		}
		if (pthread_create(&worker->thread, NULL, run_worker, worker))
			return 1;
	}
	sweeps = sweep(&stress, seconds);
	__atomic_store_n(&stress.stop, true, __ATOMIC_RELAXED);
	for (unsigned int t = 0; t < THREADS; t++) {
		pthread_join(stress.workers[t].thread, NULL);
		found += stress.workers[t].found;
		lost += stress.workers[t].lost;
		mixed += stress.workers[t].mixed;
		inserted += stress.workers[t].inserted;
		refused += stress.workers[t].refused;
	}
	printf("# %llu found, %llu inserted, %llu refused, %llu sweeps in %.0f s\n", found, inserted, refused,
	       sweeps, seconds);
	verdict(found > 1000 && inserted > 1000 && refused > 10 && sweeps > 10,
		"there was work for everybody");
	verdict(mixed == 0, "a found flow is the one that was asked for");
	verdict(lost == 0, "no established flow was lost");
	verdict(count_twins(&stress) == 0, "no flow of one thread is there twice");
	for (__u64 now_s = 1000000; now_s < 1000200; now_s++) {
		keep_slots(&stress);
		lb_engine_tick(stress.engine, now_s, 100000);
	}
	verdict(count_left(&stress) == 0, "the table empties, tombs and all");
	printf("1..%d\n", tests_done);
	lb_engine_free(stress.engine);
	lb_tables_free_memory(&stress.tables);
	return tests_failed != 0;
}
