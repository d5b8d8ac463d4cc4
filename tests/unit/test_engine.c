// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's commits on plain memory: what packets see after each, what stays as it is, banks and grace
 * periods, rings that grow and shrink, identities, errors and their texts.
 */
#include "engine_fixture.h"

static const struct lb_vip *find(struct fixture *f, const char *address, __u8 protocol, __u16 port)
{
	__u64 active = f->tables.control->active;
	struct lb_address parsed = fixture_address(address);

	return lb_vip_resolve(f->tables.control->hash_seed,
			      &f->tables.vips[(size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS],
			      LB_ACTIVE_LOG2(active), &f->tables.banks[LB_ACTIVE_BANK(active)], &parsed,
			      protocol, port);
}

static unsigned int count_slots(struct fixture *f, __u32 word)
{
	struct lb_service_view view = fixture_view(f, "web");
	unsigned int n = 0;

	for (__u32 s = 0; s < view.ring_slots; s++)
		n += f->tables.rings[view.ring_line].slot[s] == word;
	return n;
}

static void test_first_commit(void **state)
{
	struct fixture f;
	struct lb_config *config;
	struct lb_service_view view;
	const struct lb_vip *vip;
	__u64 active;

	(void)state;
	fixture_init(&f);
	assert_int_equal(lb_engine_generation(f.engine), 0);
	config = POOL(&f, IPPROTO_TCP, 100, 100, 0);
	fixture_apply(&f, config);
	active = f.tables.control->active;
	assert_int_equal(LB_ACTIVE_GENERATION(active), 1);
	assert_int_equal(lb_engine_generation(f.engine), 1);
	assert_false(active & LB_ACTIVE_WILDCARD);
	assert_int_equal(LB_ACTIVE_LOG2(active), 6);
	assert_true(f.tables.control->clock_s >= 1);
	assert_true(f.tables.control->flow_key[0] && f.tables.control->flow_key[1]);
	vip = find(&f, "203.0.113.10", IPPROTO_TCP, 80);
	assert_non_null(vip);
	assert_int_equal(vip->flags, LB_VIP_USED);
	assert_int_equal(vip->ring_mask, 63);
	assert_int_equal(vip->backend_count, 3);
	view = fixture_view(&f, "web");
	assert_int_equal(view.ring_line, lb_vip_ring_line(vip));
	assert_int_equal(view.backend_first, vip->backend_first);
	assert_int_equal(view.n_backends, 3);
	assert_ptr_equal(view.config, &config->services[0]);
	assert_int_equal(view.backends[0].slots_cur + view.backends[1].slots_cur, 64);
	assert_int_equal(view.backends[2].slots_cur, 0);
	for (int s = 0; s < 64; s++)
		assert_true(lb_slot_settled(fixture_ring(&f, "web")[s]));
	assert_string_equal(f.tables.service_meta[view.id].name, "web");
	assert_string_equal(f.tables.backend_meta[view.backends[1].id].name, "b1");
	assert_true(fixture_is_empty(&f, config));
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 100, 0)));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 0));
	assert_int_equal(lb_engine_generation(f.engine), 1);
	fixture_done(&f);
}

/* What does not change keeps its region; what changes gets another, and the old one stays as it was. */
static void test_copy_on_write(void **state)
{
	struct fixture f;
	struct lb_service_view before, other, after;
	struct lb_config *config;
	__u32 old[64];
	__u64 bank;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	fixture_backend(fixture_service(config, "dns", "203.0.113.11", 53), "d0", "10.1.0.1", 1);
	fixture_apply(&f, config);
	before = fixture_view(&f, "web");
	other = fixture_view(&f, "dns");
	memcpy(old, fixture_ring(&f, "web"), sizeof(old));
	bank = LB_ACTIVE_BANK(f.tables.control->active);
	config = POOL(&f, IPPROTO_TCP, 100, 100, 100);
	fixture_backend(fixture_service(config, "dns", "203.0.113.11", 53), "d0", "10.1.0.1", 1);
	fixture_apply(&f, config);
	assert_int_equal(lb_engine_generation(f.engine), 2);
	assert_int_not_equal(LB_ACTIVE_BANK(f.tables.control->active), bank);
	after = fixture_view(&f, "web");
	assert_int_not_equal(before.ring_line, after.ring_line);
	assert_int_not_equal(before.backend_first, after.backend_first);
	assert_memory_equal(f.tables.rings[before.ring_line].slot, old, sizeof(old));
	assert_int_equal(fixture_view(&f, "dns").ring_line, other.ring_line);
	assert_int_equal(fixture_view(&f, "dns").backend_first, other.backend_first);
	assert_ptr_equal(fixture_view(&f, "dns").config, &config->services[1]);
	assert_int_equal(f.graces, 0);
	/* Only the weight: the records stay. */
	before = after;
	config = POOL(&f, IPPROTO_TCP, 100, 100, 10);
	fixture_backend(fixture_service(config, "dns", "203.0.113.11", 53), "d0", "10.1.0.1", 1);
	fixture_apply(&f, config);
	after = fixture_view(&f, "web");
	assert_int_not_equal(before.ring_line, after.ring_line);
	assert_int_equal(before.backend_first, after.backend_first);
	/* Only the next hops: the rings stay. */
	f.nexthop_salt = 1;
	before = after;
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	after = fixture_view(&f, "web");
	assert_int_equal(before.ring_line, after.ring_line);
	assert_int_not_equal(before.backend_first, after.backend_first);
	assert_int_equal(f.tables.backends[after.backend_first].eth[2], 1);
	assert_true(fixture_is_empty(&f, config));
	/* The same next hops: no record is compared with them. Others: all are. */
	f.tables.backends[after.backend_first].eth[2] = 7;
	assert_true(fixture_is_empty(&f, config));
	f.nexthops.revision++;
	assert_false(fixture_is_empty(&f, config));
	fixture_done(&f);
}

/* Seven commits share a grace period, and no region is written while packets may read it. */
static void test_banks_and_grace(void **state)
{
	struct fixture f;
	struct lb_table_sizes sizes = fixture_sizes();

	(void)state;
	fixture_init_sizes(&f, &sizes);
	for (int i = 0; i < 100; i++)
		fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, i % 2 ? 50 : 100));
	assert_int_equal(lb_engine_generation(f.engine), 100);
	assert_in_range(f.graces, 100 / 7 - 2, 100 / 7 + 1);
	/* A grace period that cannot be had: the commit fails and nothing is visible of it. */
	f.grace_result = -EINTR;
	for (int i = 0; i < 10; i++) {
		__u64 active = f.tables.control->active;
		int r = fixture_try(&f, POOL(&f, IPPROTO_TCP, 100, i % 2 ? 50 : 100));

		if (r == 0)
			continue;
		assert_int_equal(r, -EINTR);
		assert_int_equal(f.tables.control->active, active);
		break;
	}
	f.grace_result = 0;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 70));
	fixture_done(&f);
}

/* With a clock that ticks now and then no commit waits: ticks make fit again what commits gave up. */
static void test_ticks_save_commits_the_wait(void **state)
{
	struct fixture f;
	unsigned int graces;

	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 50; i++) {
		graces = f.graces;
		fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, i % 2 ? 50 : 100));
		assert_int_equal(f.graces, graces);
		/* Too little work to come to a pass over the flows, which has a grace period of its own. */
		if (i % 3 == 2)
			lb_engine_tick(f.engine, f.now_s, 1);
	}
	/* Nothing is done for it while nothing is going on. */
	lb_engine_tick(f.engine, f.now_s, 1);
	lb_engine_tick(f.engine, f.now_s, 1);
	graces = f.graces;
	for (int i = 0; i < 10; i++)
		lb_engine_tick(f.engine, f.now_s, 1);
	assert_in_range(f.graces, graces, graces + 1); /* the pass's */
	fixture_done(&f);
}

/* However many pieces a tick has, it is one: between commits that follow each other it asks for nothing. */
static void test_pieces_of_a_tick_are_no_quiet(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 3; i++) {
		unsigned int graces;

		fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, i % 2 ? 50 : 100));
		graces = f.graces;
		lb_engine_turn(f.engine, f.now_s);
		for (int piece = 0; piece < 3; piece++)
			lb_engine_sweep(f.engine, 0);
		assert_int_equal(f.graces, graces);
	}
	fixture_done(&f);
}

/* Where no next hop is another one, those of new backends are looked up still: at a used index too. */
static void test_new_backend_is_looked_up(void **state)
{
	const struct lb_backend_view *view;
	struct fixture f;
	__u64 revision;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100));
	fixture_pass(&f, 40);
	assert_null(fixture_find_backend(&f, "b1"));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100));
	revision = f.nexthops.revision;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100, 100));
	assert_int_equal(f.nexthops.revision, revision);
	view = fixture_find_backend(&f, "b3");
	assert_int_equal(view->index, 1);
	assert_true(view->nexthop.resolved);
	fixture_done(&f);
}

/* Rings that leave no room beside them: the freshly retired region serves, after a grace period. */
static void test_tight_ring_table(void **state)
{
	struct fixture f;
	struct lb_config *config;
	struct lb_service_view view;
	__u32 line = UINT32_MAX;

	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 5; i++) {
		unsigned int graces = f.graces;

		config = POOL(&f, IPPROTO_TCP, 100, i % 2 ? 50 : 100);
		config->services[0].ring_size = 65536;
		/* 4 x 4096 lines in the table: one in use, one being written, two for "big". */
		fixture_service(config, "big", "203.0.113.20", 80)->ring_size = 65536;
		fixture_service(config, "bigger", "203.0.113.21", 80)->ring_size = 65536;
		fixture_apply(&f, config);
		view = fixture_view(&f, "web");
		assert_int_not_equal(view.ring_line, line);
		line = view.ring_line;
		assert_int_equal(f.graces - graces, i > 1);
	}
	config = POOL(&f, IPPROTO_TCP, 100, 10);
	config->services[0].ring_size = 65536;
	fixture_service(config, "big", "203.0.113.20", 80)->ring_size = 65536;
	fixture_service(config, "bigger", "203.0.113.21", 80)->ring_size = 65536;
	fixture_service(config, "biggest", "203.0.113.22", 80)->ring_size = 65536;
	assert_int_equal(fixture_try(&f, config), -ENOSPC);
	assert_string_equal(f.error.path, "limits.ring_slots");
	assert_non_null(strstr(f.error.text, "the ring table is full"));
	/* What a failed plan reserved is free again. */
	config = POOL(&f, IPPROTO_TCP, 100, 30);
	config->services[0].ring_size = 65536;
	fixture_service(config, "big", "203.0.113.20", 80)->ring_size = 65536;
	fixture_service(config, "bigger", "203.0.113.21", 80)->ring_size = 65536;
	fixture_apply(&f, config);
	fixture_done(&f);
}

static void test_growth_moves_nothing(void **state)
{
	struct fixture f;
	struct lb_config *config;
	__u32 old[64], *ring, *stamps;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 0, 100));
	memcpy(old, fixture_ring(&f, "web"), sizeof(old));
	stamps = fixture_stamps(&f, "web");
	for (int s = 0; s < 64; s++)
		stamps[s] = (__u32)s + 1000;
	config = POOL(&f, IPPROTO_TCP, 100, 0, 100);
	config->services[0].ring_size = 256;
	fixture_apply(&f, config);
	ring = fixture_ring(&f, "web");
	stamps = fixture_stamps(&f, "web");
	assert_int_equal(fixture_view(&f, "web").ring_slots, 256);
	for (__u32 s = 0; s < 256; s++) {
		assert_int_equal(lb_slot_base(ring[s]), lb_slot_base(old[s % 64]));
		if (old[s % 64] & LB_SLOT_UNSETTLED)
			assert_true(ring[s] & LB_SLOT_UNSETTLED);
		if (ring[s] == old[s % 64] && !lb_slot_settled(ring[s]))
			assert_int_equal(stamps[s], s % 64 + 1000);
		else if (!lb_slot_settled(ring[s]))
			assert_int_equal(stamps[s], f.tables.control->clock_s);
	}
	fixture_done(&f);
}

static void test_shrinking_needs_the_word(void **state)
{
	struct fixture f;
	struct lb_config *large = NULL, *small = NULL;
	const struct lb_plan_service *services;
	struct lb_plan *plan;
	unsigned int at_risk = 0;

	(void)state;
	fixture_init(&f);
	large = POOL(&f, IPPROTO_TCP, 100, 100);
	large->services[0].ring_size = 256;
	fixture_apply(&f, large);
	small = POOL(&f, IPPROTO_TCP, 100, 100);
	assert_int_equal(fixture_try(&f, small), -EBUSY);
	assert_string_equal(f.error.path, "services[0].ring_size");
	assert_string_equal(f.error.value, "64");
	assert_non_null(strstr(f.error.text, "--allow-ring-resize"));
	assert_int_equal(sscanf(strstr(f.error.text, "flows of "), "flows of %u slots", &at_risk), 1);
	assert_in_range(at_risk, 1, 192);
	/* Automatic size: it stays larger. */
	small->services[0].ring_size = 0;
	large = POOL(&f, IPPROTO_TCP, 100, 100);
	large->services[0].ring_size = 65536;
	fixture_apply(&f, large);
	fixture_apply(&f, small);
	assert_int_equal(fixture_view(&f, "web").ring_slots, 65536);
	small = POOL(&f, IPPROTO_TCP, 100, 100);
	f.allow_ring_resize = true;
	assert_int_equal(fixture_plan(&f, small, &plan), 0);
	assert_int_equal(lb_plan_services(plan, &services), 1);
	assert_true(services[0].breaks);
	assert_non_null(strstr(services[0].why_breaks, "smaller ring"));
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	assert_int_equal(fixture_view(&f, "web").ring_slots, 64);
	fixture_done(&f);
}

static void test_identity(void **state)
{
	struct fixture f;
	struct lb_config *config;
	const struct lb_backend_view *view;
	__u32 id, index;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	view = fixture_find_backend(&f, "b1");
	id = view->id;
	index = view->index;
	f.tables.counters[id].tx_packets = 7;
	/* Out, and back while it is leaving: the same. */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100));
	view = fixture_find_backend(&f, "b1");
	assert_true(view->leaving);
	assert_int_equal(view->slots_cur, 0);
	assert_int_not_equal(view->slots_base, 0);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	view = fixture_find_backend(&f, "b1");
	assert_false(view->leaving);
	assert_int_equal(view->id, id);
	assert_int_equal(view->index, index);
	assert_int_equal(f.tables.counters[id].tx_packets, 7);
	/* Another address: another backend beside the old one, which leaves. */
	config = POOL(&f, IPPROTO_TCP, 100, 100, 100);
	config->services[0].backends[1].address = fixture_address("10.0.0.99");
	fixture_apply(&f, config);
	{
		struct lb_service_view service = fixture_view(&f, "web");
		unsigned int leaving = 0, staying = 0;

		for (size_t i = 0; i < service.n_backends; i++) {
			if (strcmp(service.backends[i].name, "b1") != 0)
				continue;
			leaving += service.backends[i].leaving && service.backends[i].id == id;
			staying += !service.backends[i].leaving && service.backends[i].id != id;
		}
		assert_int_equal(leaving, 1);
		assert_int_equal(staying, 1);
	}
	/* And back again: the first one, which had not gone yet. */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	assert_int_equal(f.tables.backends[fixture_view(&f, "web").backend_first + index].counter, id);
	assert_int_equal(fixture_view(&f, "web").backends[index].leaving, 0);
	fixture_done(&f);
}

static void test_death_and_return(void **state)
{
	struct fixture f;
	const struct lb_backend_view *view;
	__u32 id, index, record;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	view = fixture_find_backend(&f, "b1");
	id = view->id;
	index = view->index;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000));
	record = fixture_view(&f, "web").backend_first + index;
	assert_int_equal(f.tables.backends[record].flags & LB_BACKEND_DEAD, LB_BACKEND_DEAD);
	assert_int_equal(count_slots(&f, lb_slot_make(0, 0, 0)), 64);
	assert_int_equal(fixture_find_backend(&f, "b1")->state, LB_STATE_DOWN);
	/* Back before the sweeper came by: entries that name the old index must stay void. */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	view = fixture_find_backend(&f, "b1");
	assert_int_equal(view->id, id);
	assert_int_not_equal(view->index, index);
	assert_int_equal(fixture_view(&f, "web").n_backends, 2);
	record = fixture_view(&f, "web").backend_first + index;
	assert_int_equal(f.tables.backends[record].flags & LB_BACKEND_DEAD, LB_BACKEND_DEAD);
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 100)));
	/* The ghost goes after two clean passes, the id stays. */
	fixture_pass(&f, 5);
	assert_int_equal(f.engine->by_id[0]->n_leaving, 0);
	assert_int_equal(f.tables.backend_meta[id].used, 1);
	/* Back after a pass: the same index. */
	index = fixture_find_backend(&f, "b1")->index;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000));
	fixture_pass(&f, 3);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	assert_int_equal(fixture_find_backend(&f, "b1")->index, index);
	assert_int_equal(fixture_find_backend(&f, "b1")->id, id);
	fixture_done(&f);
}

static void test_key_change_is_another_service(void **state)
{
	struct fixture f;
	struct lb_config *config;
	const struct lb_plan_service *services;
	struct lb_plan *plan;
	__u16 id;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	id = fixture_view(&f, "web").id;
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	config->services[0].port_first = config->services[0].port_last = 81;
	assert_int_equal(fixture_plan(&f, config, &plan), 0);
	assert_int_equal(lb_plan_services(plan, &services), 2);
	assert_int_equal(services[0].change, LB_CHANGE_ADD);
	assert_int_equal(services[1].change, LB_CHANGE_REMOVE);
	assert_true(services[1].breaks);
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	assert_int_not_equal(fixture_view(&f, "web").id, id);
	assert_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	assert_int_equal(find(&f, "203.0.113.10", IPPROTO_TCP, 81)->service, fixture_view(&f, "web").id);
	/* The old id waits until no flow can name it. */
	assert_int_equal(f.tables.service_meta[id].used, 1);
	fixture_pass(&f, 4);
	assert_int_equal(f.tables.service_meta[id].used, 0);
	fixture_done(&f);
}

static void test_refused(void **state)
{
	struct fixture f;
	struct lb_config *config;
	struct lb_plan *first, *second;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	/* Another seed on a live table. */
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	strcpy(config->hash_seed, "other");
	assert_int_equal(fixture_try(&f, config), -EBUSY);
	assert_string_equal(f.error.path, "hash_seed");
	assert_string_equal(f.error.value, ""); /* a secret */
	/* Two services with one key. */
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	fixture_service(config, "web2", "203.0.113.10", 80);
	assert_int_equal(fixture_try(&f, config), -EINVAL);
	assert_string_equal(f.error.path, "services[1].vip");
	/* One service twice. */
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	fixture_service(config, "web", "203.0.113.10", 80);
	assert_int_equal(fixture_try(&f, config), -EINVAL);
	/* A flow table smaller than a bucket per CPU. */
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	config->limits.flow_entries = 7;
	assert_int_equal(fixture_try(&f, config), -EINVAL);
	assert_string_equal(f.error.path, "limits.flow_entries");
	/* A plan that another commit overtook; a plan twice. */
	assert_int_equal(fixture_plan(&f, POOL(&f, IPPROTO_TCP, 100, 50), &first), 0);
	assert_int_equal(fixture_plan(&f, POOL(&f, IPPROTO_TCP, 100, 20), &second), 0);
	assert_int_equal(lb_engine_commit(f.engine, second, &f.error), 0);
	assert_int_equal(lb_engine_commit(f.engine, second, &f.error), -ESTALE);
	assert_int_equal(lb_engine_commit(f.engine, first, &f.error), -ESTALE);
	lb_plan_free(first);
	lb_plan_free(second);
	/* Once nothing is live, the seed may change. */
	config = fixture_config(&f);
	strcpy(config->hash_seed, "seed");
	fixture_apply(&f, config);
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	strcpy(config->hash_seed, "other");
	fixture_apply(&f, config);
	fixture_done(&f);
}

static void test_full_tables(void **state)
{
	struct lb_table_sizes sizes = fixture_sizes();
	struct lb_engine_usage before, after;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	sizes.services = 2;
	sizes.counters = 4;
	fixture_init_sizes(&f, &sizes);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	lb_engine_get_usage(f.engine, &before);
	assert_int_equal(fixture_try(&f, POOL(&f, IPPROTO_TCP, 1, 1, 1, 1, 1)), -ENOSPC);
	assert_string_equal(f.error.path, "limits.backends");
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	fixture_service(config, "s1", "203.0.113.11", 80);
	fixture_service(config, "s2", "203.0.113.12", 80);
	assert_int_equal(fixture_try(&f, config), -ENOSPC);
	assert_string_equal(f.error.path, "limits.services");
	lb_engine_get_usage(f.engine, &after);
	assert_true(before.services == after.services && before.backends == after.backends &&
		    before.ring_lines == after.ring_lines);
	fixture_done(&f);
	/* More CPUs than buckets. */
	sizes.flow_buckets = 1;
	assert_int_equal(lb_tables_new_memory(&sizes, &f.tables), 0);
	assert_int_equal(lb_engine_new(&f.tables, &f.hooks, &f.engine, &f.error), -EINVAL);
	assert_string_equal(f.error.path, "limits.flow_entries");
	lb_tables_free_memory(&f.tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_commit),
		cmocka_unit_test(test_copy_on_write),
		cmocka_unit_test(test_banks_and_grace),
		cmocka_unit_test(test_ticks_save_commits_the_wait),
		cmocka_unit_test(test_pieces_of_a_tick_are_no_quiet),
		cmocka_unit_test(test_new_backend_is_looked_up),
		cmocka_unit_test(test_tight_ring_table),
		cmocka_unit_test(test_growth_moves_nothing),
		cmocka_unit_test(test_shrinking_needs_the_word),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_death_and_return),
		cmocka_unit_test(test_key_change_is_another_service),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
