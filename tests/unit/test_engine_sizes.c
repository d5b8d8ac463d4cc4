// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large the tables are made for a configuration.
 */
#include "engine_fixture.h"

/* Of the maps that grow with an installation (tests/e2e/test_lbd_tables.sh asks the kernel for all). */
static __u64 bytes_of(const struct lb_table_sizes *sizes)
{
	return sizeof(struct lb_vip) * LB_BANKS * sizes->vip_buckets +
	       sizeof(struct lb_ring_line) * (__u64)sizes->ring_lines +
	       sizeof(struct lb_stamp_line) * (__u64)sizes->stamp_lines +
	       (sizeof(struct lb_backend) + sizeof(__u32)) * (__u64)sizes->backends +
	       sizeof(struct lb_counter) * (__u64)sizes->cpus * sizes->counters +
	       sizeof(struct lb_service_counter) * (__u64)sizes->cpus * sizes->services +
	       sizeof(struct lb_flow_bucket) * (__u64)sizes->flow_buckets +
	       sizeof(struct lb_service_meta) * sizes->services +
	       sizeof(struct lb_backend_meta) * sizes->counters;
}

/* Nobody pays for what he does not have, and who has more gets more. */
static void test_small_and_large(void **state)
{
	struct lb_table_sizes sizes;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 1, 1);
	lb_engine_sizes(config, 8, 64ull << 30, &sizes);
	assert_true(bytes_of(&sizes) <= 40ull << 20);
	/* 5 s of 100,000 handshakes a second. */
	assert_true((__u64)sizes.flow_buckets * LB_FLOWS_PER_BUCKET >= 500000);
	config->services[0].n_backends = 1000; /* they are not looked at */
	lb_engine_sizes(config, 8, 64ull << 30, &sizes);
	assert_int_equal(sizes.flow_buckets, 1u << 19);
	config->services[0].n_backends = 2;
	/* What a source brings is not known yet. */
	config->n_sources = 1;
	lb_engine_sizes(config, 8, 64ull << 30, &sizes);
	assert_int_equal(sizes.flow_buckets, 1u << 19);
	assert_true(sizes.ring_lines >= (2u << 20) / LB_SLOTS_PER_LINE);
	config->n_sources = 0;
	fixture_done(&f);
}

/* So many services of so many backends each, on 8 CPUs: MiB. */
static __u64 mib_of(__u32 services, __u32 backends)
{
	struct lb_table_sizes sizes;
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	config = fixture_config(&f);
	config->services = calloc(services, sizeof(*config->services));
	config->n_services = services;
	for (__u32 i = 0; i < services; i++)
		config->services[i].n_backends = backends; /* they are not looked at */
	lb_engine_sizes(config, 8, 64ull << 30, &sizes);
	fixture_done(&f);
	return bytes_of(&sizes) >> 20;
}

/* docs/scaling.md has these; they are not to grow unnoticed. */
static void test_large_installations(void **state)
{
	(void)state;
	assert_in_range(mib_of(1000, 100), 500, 550);
	assert_in_range(mib_of(5000, 20), 300, 342);
}

/* A ring that services share is counted once. */
static void test_size_of_sharing(void **state)
{
	struct lb_table_sizes one, shared;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = fixture_config(&f);
	for (int i = 0; i < 100; i++) {
		char name[16], vip[32];
		struct lb_config_service *service;

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(vip, sizeof(vip), "203.0.113.%d", i);
		service = fixture_service(config, name, vip, 80);
		service->ring_size = 65536;
		strcpy(service->ring, "pool");
		fixture_backend(service, "b0", "10.0.0.1", 100);
	}
	lb_engine_sizes(config, 8, 64ull << 30, &shared);
	config->n_services = 1;
	lb_engine_sizes(config, 8, 64ull << 30, &one);
	config->n_services = 100;
	assert_int_equal(shared.ring_lines, one.ring_lines);
	assert_int_equal(shared.backends, one.backends);
	fixture_done(&f);
}

static void test_sizes(void **state)
{
	struct fixture f;
	struct lb_config *config;
	struct lb_table_sizes sizes;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 1, 1);
	lb_engine_sizes(config, 4, 8ull << 30, &sizes);
	assert_int_equal(sizes.cpus, 4);
	assert_int_equal(sizes.flow_buckets, 1u << 17);
	assert_int_equal(sizes.vip_buckets, LB_VIP_BUCKETS);
	assert_int_equal(sizes.ring_lines % LB_CHUNK_LINES, 0);
	assert_int_equal(sizes.backends % LB_CHUNK_LINES, 0);
	lb_engine_sizes(config, 4, 1, &sizes);
	assert_int_equal(sizes.flow_buckets, 1u << 14);
	config->limits.flow_entries = 10000000;
	lb_engine_sizes(config, 4, 1, &sizes);
	assert_true((__u64)sizes.flow_buckets * sizeof(struct lb_flow_bucket) <= 512ull << 20);
	config->limits.flow_entries = 4;
	lb_engine_sizes(config, 4, 1, &sizes);
	assert_true(sizes.flow_buckets < 4);
	config->limits.ring_slots = 100u << 20;
	config->limits.backends = 100000;
	config->limits.services = 5000;
	lb_engine_sizes(config, 4, 1, &sizes);
	assert_true(sizes.ring_lines >= 2 * (100u << 20) / LB_SLOTS_PER_LINE);
	assert_true(sizes.backends >= 200000);
	assert_true(sizes.services >= 5000 && sizes.counters >= 100000);
	/* Every slot has a number of 32 bits (struct lb_vip). */
	config->limits.ring_slots = UINT32_MAX;
	lb_engine_sizes(config, 4, 1, &sizes);
	assert_true((__u64)sizes.ring_lines * LB_SLOTS_PER_LINE <= UINT32_MAX);
	assert_int_equal(sizes.ring_lines % LB_CHUNK_LINES, 0);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_small_and_large),
		cmocka_unit_test(test_large_installations),
		cmocka_unit_test(test_size_of_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
