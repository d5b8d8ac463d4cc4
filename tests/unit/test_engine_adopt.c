// SPDX-License-Identifier: GPL-2.0-only
/*
 * Adoption: an engine over tables that another one left. The same after a clean stop; after kill -9 between
 * any two steps of a commit, in a process of its own over shared memory; and refusal of tables that
 * contradict themselves.
 */
#include "engine_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything at once: exact, wildcard, UDP, QUIC; unsettled, drained, dead, leaving. */
/* Two of three services share a ring: others in each version. */
static void share_ring(struct lb_config *config, int version)
{
	for (int i = 1; i <= 3; i++) {
		char name[] = { 's', (char)('0' + i), '\0' };
		struct lb_config_service *service;

		if (i == version % 3 + 2 || i == version - 1)
			continue;
		service = fixture_service(config, name, "203.0.113.14", (__u16)(7000 + i));
		strcpy(service->ring, "pool");
		fixture_backend(service, "s0", "10.0.4.1", 100);
		fixture_backend(service, "s1", "10.0.4.2", version == 2 ? 30 : 100);
	}
}

static struct lb_config *rich_config(struct fixture *f, int version)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	service->echo = true;
	fixture_backend(service, "b0", "10.0.0.1", 100);
	fixture_backend(service, "b1", "10.0.0.2", version == 2 ? 20 : 100);
	if (version != 2)
		fixture_backend(service, "b2", "10.0.0.3", 100);
	if (version == 2)
		fixture_backend(service, "b3", "2001:db8:1::4", 100);
	fixture_backend(service, "b4", "10.0.0.5", 100)->state =
		version == 1 ? LB_STATE_ACTIVE : LB_STATE_DOWN;
	service = fixture_service(config, "dns", "203.0.113.11", 53);
	service->protocol = IPPROTO_UDP;
	service->affinity = LB_AFFINITY_SOURCE;
	fixture_backend(service, "d0", "10.0.1.1", version == 1 ? 100 : 0);
	fixture_backend(service, "d1", "10.0.1.2", 100);
	service = fixture_service(config, "range", "2001:db8:2::/48", 1000);
	service->port_last = 1999;
	service->ring_size = version == 2 ? 256 : 128;
	fixture_backend(service, "r0", "2001:db8:1::1", 100);
	if (version != 1) {
		service = fixture_service(config, "fresh", "203.0.113.12", 80);
		fixture_backend(service, "f0", "10.0.2.1", 100);
		fixture_backend(service, "f1", "10.0.2.2", 100)->state = LB_STATE_DRAIN;
	}
	if (version != 2) {
		service = fixture_service(config, "quic", "203.0.113.13", 443);
		service->protocol = IPPROTO_UDP;
		service->affinity = LB_AFFINITY_QUIC;
		service->n_quic = 1;
		service->quic[0] = (struct lb_config_quic){ 1, 2 };
		fixture_backend(service, "q0", "10.0.3.1", 100)->server_id_bytes = 2;
	}
	share_ring(config, version);
	return config;
}

static void test_restart(void **state)
{
	struct fixture f;
	struct lb_engine_usage before, after;
	struct lb_service_view views[2];
	__u64 active;

	(void)state;
	fixture_init(&f);
	f.allow_ring_resize = true;
	assert_int_equal(fixture_restart(&f), 0);
	for (int version = 1; version <= 3; version++) {
		fixture_apply(&f, rich_config(&f, version));
		active = f.tables.control->active;
		views[0] = fixture_view(&f, "web");
		lb_engine_get_usage(f.engine, &before);
		assert_int_equal(fixture_restart(&f), 0);
		lb_engine_get_usage(f.engine, &after);
		assert_int_equal(lb_engine_generation(f.engine), version);
		assert_int_equal(before.services, after.services);
		assert_int_equal(before.backends, after.backends);
		assert_int_equal(before.ring_lines, after.ring_lines);
		views[1] = fixture_view(&f, "web");
		assert_int_equal(views[0].ring_line, views[1].ring_line);
		assert_int_equal(views[0].unsettled_slots, views[1].unsettled_slots);
		assert_int_equal(views[0].n_backends, views[1].n_backends);
		assert_null(views[1].config);
		assert_true(fixture_is_empty(&f, rich_config(&f, version)));
		assert_false(fixture_is_empty(&f, rich_config(&f, version % 3 + 1)));
		/* An empty plan's commit ties the configuration to what is there. */
		fixture_apply(&f, rich_config(&f, version));
		assert_int_equal(f.tables.control->active, active);
		assert_non_null(fixture_view(&f, "web").config);
	}
	/* Everything that left goes in the end, and the next agent agrees. */
	fixture_pass(&f, 40);
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 0);
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, rich_config(&f, 3)));
	fixture_apply(&f, rich_config(&f, 3));
	fixture_pass(&f, 10);
	lb_engine_get_usage(f.engine, &after);
	assert_int_equal(after.services, 7);
	assert_int_equal(after.backends, 4 + 2 + 1 + 2 + 1 + 2);
	fixture_done(&f);
}

/* Learning windows and idle times start again, on the safe side. */
static void test_times_restart(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 0));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 0, 100));
	fixture_pass(&f, 10);
	assert_int_equal(fixture_restart(&f), 0);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 0, 100));
	fixture_pass(&f, 10);
	assert_int_equal(fixture_ring(&f, "web")[5], lb_slot_make(1, 0, LB_SLOT_UNSETTLED));
	fixture_pass(&f, 5);
	assert_int_equal(fixture_ring(&f, "web")[5], lb_slot_make(1, 1, 0));
	fixture_done(&f);
}

/* A backend that returned under another index, and the dead index that waits: after a restart as before. */
static void test_ghost(void **state)
{
	struct fixture f;
	__u32 index;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	index = fixture_find_backend(&f, "b1")->index;
	assert_int_equal(index, 2);
	assert_int_equal(fixture_restart(&f), 0);
	assert_int_equal(fixture_find_backend(&f, "b1")->index, index);
	assert_int_equal(fixture_view(&f, "web").n_backends, 2);
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 100)));
	/* Down again, and both indices are dead. */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000));
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 1000)));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000));
	fixture_pass(&f, 5);
	assert_int_equal(f.engine->by_id[0]->n_leaving, 0);
	fixture_done(&f);
}

static struct lb_config *unsized_config(struct fixture *f, __u32 ring_size, __u32 window)
{
	struct lb_config *config = fixture_config(f);

	for (int i = 0; i < 2; i++) {
		struct lb_config_service *service =
			fixture_service(config, i ? "udp" : "web", i ? "203.0.113.11" : "203.0.113.10", 80);

		service->ring_size = ring_size;
		service->algorithm = LB_ALGORITHM_BOUNDED;
		service->protocol = i ? IPPROTO_UDP : IPPROTO_TCP;
		service->learning_window_s = window;
		for (int k = 0; k < 20; k++) {
			char name[16], address[32];

			snprintf(name, sizeof(name), "b%d", k);
			snprintf(address, sizeof(address), "10.0.%d.%d", i, k + 1);
			fixture_backend(service, name, address, 100);
		}
	}
	return config;
}

/* Rings of an agent whose rules for size and owners were others: they keep their size, new flows go by the
 * new rule, old ones stay, and the plan tells. */
static void test_rings_of_other_rules(void **state)
{
	static const char *const names[] = { "web", "udp" };
	static __u32 old[2][8192];
	const struct lb_plan_service *services;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, unsized_config(&f, 8192, 5));
	for (int i = 0; i < 2; i++) {
		__u32 *ring = fixture_ring(&f, names[i]);

		/* Every tenth slot is somebody else's. */
		for (__u32 s = 0; s < 8192; s += 10) {
			__u32 other = (lb_slot_cur(ring[s]) + 1) % 20;

			ring[s] = lb_slot_make(other, other, 0);
		}
		memcpy(old[i], ring, sizeof(old[i]));
	}
	assert_int_equal(fixture_restart(&f), 0);
	assert_int_equal(fixture_plan(&f, unsized_config(&f, 0, 5), &plan), 0);
	assert_int_equal(lb_plan_services(plan, &services), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(services[i].slots_moved, 820);
		assert_false(services[i].breaks);
	}
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_view(&f, names[i]).ring_slots, 8192);
		assert_int_equal(fixture_view(&f, names[i]).unsettled_slots, 820);
		for (__u32 s = 0; s < 8192; s++)
			assert_int_equal(lb_slot_base(fixture_ring(&f, names[i])[s]),
					 lb_slot_base(old[i][s]));
	}
	/* Where nothing is learnt, flows move, and the plan says that too. */
	memcpy(fixture_ring(&f, "udp"), old[1], sizeof(old[1]));
	assert_int_equal(fixture_restart(&f), 0);
	assert_int_equal(fixture_plan(&f, unsized_config(&f, 0, 0), &plan), 0);
	assert_int_equal(lb_plan_services(plan, &services), 2);
	assert_string_equal(services[1].name, "udp");
	assert_int_equal(services[0].slots_moved, 0);
	assert_int_equal(services[1].slots_moved, 820);
	assert_true(services[1].breaks && !services[0].breaks);
	lb_plan_free(plan);
	fixture_done(&f);
}

/* --- kill -9 between all steps ------------------------------------------------------------------- */

static void *share(void *table, size_t bytes)
{
	void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(shared, MAP_FAILED);
	if (table)
		memcpy(shared, table, bytes);
	return shared;
}

/* Moves the tables to memory that a child process shares. */
static void share_tables(struct fixture *f, struct lb_tables *ret_private)
{
	const struct lb_table_sizes *s = &f->tables.sizes;

	*ret_private = f->tables;
#define SHARE(name, n) f->tables.name = share(f->tables.name, (n) * sizeof(*f->tables.name))
	SHARE(control, 1);
	f->tables.vips = share(NULL, (size_t)LB_BANKS * s->vip_buckets * sizeof(struct lb_vip));
	SHARE(banks, LB_BANKS);
	SHARE(filters, LB_BANKS);
	SHARE(rings, s->ring_lines);
	SHARE(stamps, s->stamp_lines);
	SHARE(backends, s->backends);
	SHARE(backend_ids, s->backends);
	SHARE(counters, (size_t)s->cpus * s->counters);
	SHARE(flows, s->flow_buckets);
	SHARE(service_meta, s->services);
	SHARE(backend_meta, s->counters);
#undef SHARE
}

static void unshare_tables(struct fixture *f, const struct lb_tables *private)
{
	const struct lb_table_sizes *s = &f->tables.sizes;

#define DROP(name, n) munmap(f->tables.name, (n) * sizeof(*f->tables.name))
	DROP(control, 1);
	DROP(vips, (size_t)LB_BANKS * s->vip_buckets);
	DROP(banks, LB_BANKS);
	DROP(filters, LB_BANKS);
	DROP(rings, s->ring_lines);
	DROP(stamps, s->stamp_lines);
	DROP(backends, s->backends);
	DROP(backend_ids, s->backends);
	DROP(counters, (size_t)s->cpus * s->counters);
	DROP(flows, s->flow_buckets);
	DROP(service_meta, s->services);
	DROP(backend_meta, s->counters);
#undef DROP
	f->tables = *private;
}

static void kill_step(void *context, const char *step)
{
	struct fixture *f = context;

	if (++f->steps == (unsigned int)f->stop_at_step)
		kill(getpid(), SIGKILL);
}

/* Applies a version in a child that dies at a step; true if it died, false if it lived to the end. */
static bool apply_and_die(struct fixture *f, int version, int at_step)
{
	int status;
	pid_t child;

	lb_engine_free(f->engine);
	f->engine = NULL;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		f->hooks.step = kill_step;
		f->stop_at_step = at_step;
		f->steps = 0;
		if (lb_engine_new(&f->tables, &f->hooks, &f->engine, &f->error) < 0 ||
		    fixture_try(f, rich_config(f, version)) < 0)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* there: what was in use before the commit. */
static void check_whole(struct fixture *f, int before, int after, const struct lb_engine_usage *there,
			struct lb_engine_usage *clean)
{
	struct lb_engine_usage usage;
	__u64 generation;
	int is, r;

	r = lb_engine_new(&f->tables, &f->hooks, &f->engine, &f->error);
	if (r < 0)
		print_error("%s\n", f->error.text);
	assert_int_equal(r, 0);
	generation = lb_engine_generation(f->engine);
	assert_in_range(generation, 1, 2);
	is = generation == 1 ? before : after;
	/* What only the unfinished commit had taken is free at once. */
	lb_engine_get_usage(f->engine, &usage);
	if (generation == 1)
		assert_true(usage.services == there->services && usage.backends == there->backends &&
			    usage.ring_lines == there->ring_lines);
	assert_true(fixture_is_empty(f, rich_config(f, is)));
	assert_false(fixture_is_empty(f, rich_config(f, is == before ? after : before)));
	/* The work can be finished, and nothing is lost of any table. */
	fixture_apply(f, rich_config(f, after));
	assert_int_equal(lb_engine_generation(f->engine), 2);
	assert_true(fixture_is_empty(f, rich_config(f, after)));
	fixture_pass(f, 40);
	lb_engine_get_usage(f->engine, &usage);
	if (!clean->services)
		*clean = usage;
	assert_int_equal(usage.services, clean->services);
	assert_int_equal(usage.backends, clean->backends);
	assert_int_equal(usage.ring_lines, clean->ring_lines);
}

static unsigned int kill_everywhere(int before, int after)
{
	struct lb_engine_usage there, clean = {};
	unsigned int steps = 0;
	bool died = true;

	for (int at = 1; died; at++) {
		struct lb_tables private;
		struct fixture f;

		fixture_init(&f);
		f.allow_ring_resize = true;
		lb_engine_free(f.engine);
		f.engine = NULL;
		share_tables(&f, &private);
		assert_int_equal(lb_engine_new(&f.tables, &f.hooks, &f.engine, &f.error), 0);
		fixture_apply(&f, rich_config(&f, before));
		lb_engine_get_usage(f.engine, &there);
		died = apply_and_die(&f, after, at);
		check_whole(&f, before, after, &there, &clean);
		steps += died;
		lb_engine_free(f.engine);
		f.engine = NULL;
		unshare_tables(&f, &private);
		fixture_done(&f);
	}
	return steps;
}

static void test_killed(void **state)
{
	(void)state;
	assert_in_range(kill_everywhere(1, 2), 10, 100);
	assert_in_range(kill_everywhere(2, 3), 10, 100);
	assert_in_range(kill_everywhere(3, 1), 10, 100);
}

/* The very first commit: before it is visible, the tables are as good as new. */
static void test_killed_at_first(void **state)
{
	bool died = true;

	(void)state;
	for (int at = 1; died; at++) {
		struct lb_tables private;
		struct fixture f;

		fixture_init(&f);
		lb_engine_free(f.engine);
		f.engine = NULL;
		share_tables(&f, &private);
		died = apply_and_die(&f, 1, at);
		assert_int_equal(lb_engine_new(&f.tables, &f.hooks, &f.engine, &f.error), 0);
		assert_in_range(lb_engine_generation(f.engine), 0, 1);
		fixture_apply(&f, rich_config(&f, 1));
		assert_int_equal(lb_engine_generation(f.engine), 1);
		assert_true(fixture_is_empty(&f, rich_config(&f, 1)));
		lb_engine_free(f.engine);
		f.engine = NULL;
		unshare_tables(&f, &private);
		fixture_done(&f);
	}
}

/* --- contradictions ------------------------------------------------------------------------------ */

static struct lb_vip *entry(struct fixture *f, const char *address, __u8 protocol, __u16 port)
{
	__u64 active = f->tables.control->active;
	struct lb_address parsed = fixture_address(address);

	return (struct lb_vip *)lb_vip_resolve(
		f->tables.control->hash_seed,
		&f->tables.vips[(size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS], LB_ACTIVE_LOG2(active),
		&f->tables.banks[LB_ACTIVE_BANK(active)], &parsed, protocol, port);
}

static void refuse(struct fixture *f, const char *text)
{
	int r = fixture_restart(f);

	if (r != -EPROTO || !strstr(f->error.text, text))
		print_error("%d: %s\n", r, f->error.text);
	assert_int_equal(r, -EPROTO);
	assert_non_null(strstr(f->error.text, text));
}

static void test_contradictions(void **state)
{
	struct lb_vip *web, *dns;
	struct lb_vip saved;
	struct fixture f;
	struct lb_backend *record;
	__u32 *slot;
	__u64 active;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, rich_config(&f, 1));
	web = entry(&f, "203.0.113.10", IPPROTO_TCP, 80);
	dns = entry(&f, "203.0.113.11", IPPROTO_UDP, 53);
	slot = &f.tables.rings[lb_vip_ring_line(web)].slot[9];
	record = &f.tables.backends[web->backend_first];
	saved = *web;

#define BREAK(lvalue, bad, text)                                                                             \
	do {                                                                                                 \
		__typeof__(lvalue) good = (lvalue);                                                          \
		(lvalue) = (bad);                                                                            \
		refuse(&f, (text));                                                                          \
		(lvalue) = good;                                                                             \
	} while (0)

	BREAK(f.tables.control->magic, 7, "layout");
	BREAK(f.tables.control->layout, LB_LAYOUT_VERSION + 1, "layout");
	BREAK(f.tables.control->counters, 3, "other table sizes");
	active = f.tables.control->active;
	BREAK(f.tables.control->active, active | 0x8, "bank");
	BREAK(f.tables.control->active, active ^ 1 << 7, "buckets");
	BREAK(web->ring_mask, 62, "slots");
	BREAK(web->ring_mask, 0x1ffff, "slots");
	BREAK(web->ring_chunk, 1, "outside");
	BREAK(web->backend_first, LB_CHUNK_LINES - 2, "outside");
	BREAK(web->backend_chunk, 1, "outside");
	BREAK(web->ring_first, web->ring_first + 1, "outside");
	BREAK(web->service, 63, "no name");
	BREAK(web->service, dns->service, "contradict");
	BREAK(web->ring_first, dns->ring_first, "not the same one");
	BREAK(web->ring_first, dns->ring_first + LB_SLOTS_PER_LINE, "overlap");
	BREAK(web->key[0], web->key[0] + 0x1000000, "would not find");
	BREAK(*slot, lb_slot_make(0, 77, LB_SLOT_UNSETTLED), "slot 9 names backend index 77");
	BREAK(*slot, lb_slot_make(0, 1, 0), "slot 9 is not settled, but says so");
	BREAK(*slot, lb_slot_make(0, 1, LB_SLOT_LEARNING), "slot 9 is not settled, but says so");
	BREAK(*slot, lb_slot_make(0, 0, LB_SLOT_LEARNING), "slot 9 is not settled, but says so");
	BREAK(record->flags, 0, "names backend index 0");
	BREAK(record->counter, f.tables.sizes.counters, "outside");
	BREAK(record->counter, record[1].counter, "in use twice");
	BREAK(f.tables.backend_meta[record->counter].used, 0, "no name");
	BREAK(f.tables.backend_meta[record->counter].service, 9, "another service's");
	BREAK(f.tables.service_meta[web->service].used, 0, "no name");
	assert_memory_equal(web, &saved, sizeof(saved));
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, rich_config(&f, 1)));
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_times_restart),
		cmocka_unit_test(test_ghost),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_at_first),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_rings_of_other_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
