// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long random histories of an engine: backends come, go, return, drain, die, change address, weight and place
 * in the configuration, services come and go, algorithms and ring sizes change, plans are dropped, agents die
 * and start again, the clock ticks or does not. After every commit
 *   - every slot is owned by whom the builder, asked for the configuration alone, gives it;
 *   - nothing became visible that packets could read since the last grace period: no bank, ring or record
 * region is written while it may be in use.
 * SEED and STEPS in the environment: other and longer ones.
 */
#include "engine_fixture.h"

#define BACKENDS 360
#define SERVICES 3

static __u64 random_state;

static __u32 below(__u32 limit)
{
	__u64 z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (__u32)((z ^ z >> 31) % limit);
}

struct model_backend {
	bool there;
	__u32 weight, address;
	enum lb_state state;
};

struct model_service {
	bool there;
	__u32 usual; /* about so many backends */
	__u8 protocol;
	__u32 ring_size;
	enum lb_algorithm algorithm;
	bool backwards; /* order in the configuration */
	struct model_backend backend[BACKENDS];
};

struct world {
	struct fixture f;
	struct model_service service[SERVICES];
	unsigned int bank_seen[LB_BANKS]; /* graces so far, plus one, when packets last had it; 0: never */
	unsigned int *ring_seen, *record_seen;
};

static void vary_backend(struct model_backend *backend)
{
	static const __u32 weights[] = { 0, 1, 100, 100, 100, 101, 50, 65535 };

	switch (below(9)) {
	case 0:
		backend->there = !backend->there;
		break;
	case 1:
		backend->address = below(3);
		break;
	case 2:
		backend->state = below(3);
		break;
	case 3:
	case 4:
	case 5:
		backend->state = LB_STATE_ACTIVE;
		backend->there = true;
		break;
	default:
		backend->weight = weights[below(8)];
	}
}

static void vary_service(struct model_service *service)
{
	static const __u32 counts[] = { 0, 1, 1, 1, 2, 5, 30 };

	for (__u32 n = counts[below(7)]; n; n--)
		vary_backend(&service->backend[below(service->usual + service->usual / 8 + 1)]);
	if (!below(25))
		service->there = !service->there;
	if (!below(10))
		service->backwards = !service->backwards;
	if (!below(20))
		service->algorithm = below(4);
	if (!below(3))
		service->algorithm = LB_ALGORITHM_BOUNDED;
	if (!below(12))
		service->ring_size = below(3) ? 64u << below(service->usual < 20 ? 11 : 8) : 0;
	if (!below(40))
		for (__u32 i = 0; i < service->usual; i++)
			service->backend[i].state = LB_STATE_DRAIN;
	if (!below(10))
		for (__u32 i = 0; i < service->usual; i++)
			service->backend[i].state = LB_STATE_ACTIVE;
}

static struct lb_config *make_config(struct world *world)
{
	struct lb_config *config = fixture_config(&world->f);

	for (__u32 s = 0; s < SERVICES; s++) {
		const struct model_service *model = &world->service[s];
		struct lb_config_service *service;
		char name[32], address[40];

		if (!model->there)
			continue;
		snprintf(name, sizeof(name), "s%u", s);
		snprintf(address, sizeof(address), "203.0.113.%u", s);
		service = fixture_service(config, name, address, 80);
		service->protocol = model->protocol;
		service->ring_size = model->ring_size;
		service->algorithm = model->algorithm;
		for (__u32 k = 0; k < BACKENDS; k++) {
			__u32 i = model->backwards ? BACKENDS - 1 - k : k;
			const struct model_backend *backend = &model->backend[i];

			if (!backend->there)
				continue;
			snprintf(name, sizeof(name), "b%u", i);
			snprintf(address, sizeof(address), "10.%u.%u.%u", 10 * s + backend->address, i / 200,
				 i % 200 + 1);
			fixture_backend(service, name, address, backend->weight)->state = backend->state;
		}
	}
	return config;
}

/* Who owns each slot, by place in the configuration. */
static void expected_owners(const struct lb_config *config, const struct lb_config_service *service,
			    __u32 slots, __u32 *owner)
{
	struct lb_ring_member *members = calloc(service->n_backends + 1, sizeof(*members));
	__u32 *place = calloc(service->n_backends + 1, sizeof(*place));
	size_t n = 0;

	assert_non_null(members);
	assert_non_null(place);
	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_config_backend *backend = &service->backends[i];

		if (backend->state != LB_STATE_ACTIVE || !backend->weight)
			continue;
		place[n] = (__u32)i;
		members[n++] = (struct lb_ring_member){ lb_ring_member_id(backend->name), backend->weight };
	}
	assert_int_equal(lb_ring_builder_get(service->algorithm)
				 ->build(lb_ring_seed(config->hash_seed, service->name), members, n, slots,
					 NULL, owner),
			 0);
	for (__u32 s = 0; s < slots; s++)
		owner[s] = owner[s] == LB_RING_NONE ? LB_RING_NONE : place[owner[s]];
	free(members);
	free(place);
}

static void check_service(struct world *world, const struct lb_config *config,
			  const struct lb_config_service *service)
{
	const struct lb_tables *tables = &world->f.tables;
	struct lb_service_view view = fixture_view(&world->f, service->name);
	const __u32 *ring = tables->rings[view.ring_line].slot;
	__u32 *owner = calloc(view.ring_slots, sizeof(*owner));

	assert_non_null(owner);
	assert_true(view.ring_slots == (service->ring_size ? service->ring_size
							   : lb_config_ring_size(service->n_backends)) ||
		    (!service->ring_size && view.ring_slots > lb_config_ring_size(service->n_backends)));
	expected_owners(config, service, view.ring_slots, owner);
	for (__u32 s = 0; s < view.ring_slots; s++) {
		__u32 cur = lb_slot_cur(ring[s]), base = lb_slot_base(ring[s]);
		const struct lb_config_backend *backend;
		const struct lb_backend *record = &tables->backends[view.backend_first + cur];
		const struct lb_backend_meta *meta;

		if (owner[s] == LB_RING_NONE) {
			assert_int_equal(cur, LB_INDEX_NONE);
			continue;
		}
		backend = &service->backends[owner[s]];
		assert_int_not_equal(cur, LB_INDEX_NONE);
		assert_true(record->flags & LB_BACKEND_USED);
		assert_false(record->flags & LB_BACKEND_DEAD);
		meta = &tables->backend_meta[record->counter];
		assert_true(meta->used);
		assert_string_equal(meta->name, backend->name);
		assert_memory_equal(meta->address, backend->address.bytes, sizeof(meta->address));
		assert_true(base == LB_INDEX_NONE ||
			    tables->backends[view.backend_first + base].flags & LB_BACKEND_USED);
	}
	free(owner);
}

/* What packets could read before the commit, and what they read now. */
static void see(struct world *world, bool check, const bool *was_ring, const bool *was_record, __u32 was_bank)
{
	struct fixture *f = &world->f;
	const struct lb_table_sizes *sizes = &f->tables.sizes;
	__u32 bank = LB_ACTIVE_BANK(f->tables.control->active);

	if (check && bank != was_bank)
		assert_true(world->bank_seen[bank] <= f->graces);
	for (size_t i = 0; i < lb_engine_services(f->engine); i++) {
		struct lb_service_view view;
		__u32 n;

		assert_int_equal(lb_engine_service(f->engine, i, &view), 0);
		for (__u32 k = 0; k < view.ring_slots / LB_SLOTS_PER_LINE; k++) {
			__u32 line = view.ring_line + k;

			if (check && !was_ring[line])
				assert_true(world->ring_seen[line] <= f->graces);
			world->ring_seen[line] = f->graces + 1;
		}
		n = view.n_backends ? view.backends[view.n_backends - 1].index + 1u : 0;
		for (__u32 k = 0; k < n; k++) {
			__u32 record = view.backend_first + k;

			assert_true(record < sizes->backends);
			if (check && !was_record[record])
				assert_true(world->record_seen[record] <= f->graces);
			world->record_seen[record] = f->graces + 1;
		}
	}
	world->bank_seen[bank] = f->graces + 1;
}

static void commit_checked(struct world *world, const struct lb_config *config)
{
	struct fixture *f = &world->f;
	const struct lb_table_sizes *sizes = &f->tables.sizes;
	bool *was_ring = calloc(sizes->ring_lines, 1), *was_record = calloc(sizes->backends, 1);
	__u32 was_bank = LB_ACTIVE_BANK(f->tables.control->active);

	assert_non_null(was_ring);
	assert_non_null(was_record);
	see(world, false, NULL, NULL, 0);
	for (size_t i = 0; i < lb_engine_services(f->engine); i++) {
		struct lb_service_view view;

		assert_int_equal(lb_engine_service(f->engine, i, &view), 0);
		memset(was_ring + view.ring_line, true, view.ring_slots / LB_SLOTS_PER_LINE);
		if (view.n_backends)
			memset(was_record + view.backend_first, true,
			       view.backends[view.n_backends - 1].index + 1u);
	}
	fixture_apply(f, config);
	see(world, true, was_ring, was_record, was_bank);
	free(was_ring);
	free(was_record);
	for (size_t i = 0; i < config->n_services; i++)
		check_service(world, config, &config->services[i]);
}

static void forget_configs(struct fixture *f, struct lb_config *keep)
{
	for (size_t i = 0; i < f->n_configs; i++) {
		if (f->configs[i] != keep)
			fixture_free_config(f->configs[i]);
	}
	f->configs[0] = keep;
	f->n_configs = 1;
}

static void drop_a_plan(struct world *world)
{
	struct model_service saved = world->service[0];
	struct lb_plan *plan = NULL;
	struct lb_config *config;

	vary_service(&world->service[0]);
	config = make_config(world);
	if (fixture_plan(&world->f, config, &plan) == 0 && !below(3)) {
		world->f.grace_result = -EINTR;
		/* May need a grace period, or not. */
		if (lb_engine_commit(world->f.engine, plan, &world->f.error) == 0)
			saved = world->service[0];
		world->f.grace_result = 0;
	}
	lb_plan_free(plan);
	world->service[0] = saved;
}

static void run(__u64 seed, int steps, __u32 usual)
{
	struct lb_table_sizes sizes = fixture_sizes();
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	random_state = seed;
	sizes.counters = 8192;
	fixture_init_sizes(&world->f, &sizes);
	world->ring_seen = calloc(sizes.ring_lines, sizeof(*world->ring_seen));
	world->record_seen = calloc(sizes.backends, sizeof(*world->record_seen));
	world->f.allow_ring_resize = true;
	for (__u32 s = 0; s < SERVICES; s++) {
		struct model_service *service = &world->service[s];

		*service = (struct model_service){ .there = true,
						   .usual = s ? 3 + 9 * s : usual,
						   .protocol = s == 1 ? IPPROTO_UDP : IPPROTO_TCP,
						   .ring_size = s == 2                  ? 0
								: s == 1 || usual > 100 ? 4096
											: 65536,
						   .algorithm = LB_ALGORITHM_BOUNDED };
		for (__u32 i = 0; i < service->usual; i++)
			service->backend[i] = (struct model_backend){ .there = true, .weight = 100 };
	}
	for (int step = 0; step < steps; step++) {
		struct lb_config *config;

		for (__u32 s = 0; s < SERVICES; s++) {
			if (below(2))
				vary_service(&world->service[s]);
		}
		if (!below(10))
			drop_a_plan(world);
		config = make_config(world);
		commit_checked(world, config);
		forget_configs(&world->f, config);
		if (!below(30))
			assert_int_equal(fixture_restart(&world->f), 0);
		if (step % 40 < 20)
			continue; /* the clock stands still: commits must see to themselves */
		if (!below(4))
			fixture_pass(&world->f, below(12));
		else if (!below(3))
			lb_engine_tick(world->f.engine, world->f.now_s, below(200));
	}
	free(world->ring_seen);
	free(world->record_seen);
	fixture_done(&world->f);
	free(world);
}

static void test_histories(void **state)
{
	__u64 seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 1;
	int steps = getenv("STEPS") ? atoi(getenv("STEPS")) : 60;
	static const __u32 usual[] = { 12, 256, 290, 315 };

	(void)state;
	for (int i = 0; i < 4; i++)
		run(seed + (__u64)i, steps, usual[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_histories) };

	return cmocka_run_group_tests_name("engine_history", tests, NULL, NULL);
}
