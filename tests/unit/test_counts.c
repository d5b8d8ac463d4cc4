// SPDX-License-Identifier: GPL-2.0-only
/*
 * Totals never fall: an id serves again, a backend moves to another address, a service loses one, the agent
 * is another one.
 */
#include "engine_fixture.h"

#include "engine/counts.h"

static void count(struct fixture *f, __u32 id, __u32 cpu, __u64 packets)
{
	struct lb_counter *line = &f->tables.counters[(size_t)cpu * f->tables.sizes.counters + id];

	line->tx_packets += packets;
	line->redirect_packets += 2 * packets;
	line->tx_bytes += 100 * packets;
	line->redirect_bytes += 200 * packets;
	line->syn_packets += packets;
	line->known_packets += packets;
	line->base_packets += packets;
	line->refused_inserts += packets;
}

static struct lb_config *at(struct fixture *f, const char *b1_address)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	fixture_backend(service, "b0", "10.0.0.1", 100);
	if (b1_address)
		fixture_backend(service, "b1", b1_address, 100);
	return config;
}

/* Packets of a CPU in all, as metrics add them up. */
static __u64 cpu_packets(const struct fixture *f, __u32 cpu)
{
	const struct lb_reason_counter *reasons = f->tables.reasons[cpu].reason;
	__u64 sum = reasons[LB_CARRIED_TX].packets + reasons[LB_CARRIED_REDIRECT].packets;

	for (__u32 id = 0; id < f->tables.sizes.counters; id++) {
		const struct lb_counter *line =
			&f->tables.counters[(size_t)cpu * f->tables.sizes.counters + id];

		sum += line->tx_packets + line->redirect_packets;
	}
	return sum;
}

/* Of a service, or of its backends of one name, as metrics add them up. */
static struct lb_totals counted(struct fixture *f, const char *backend)
{
	struct lb_service_view view = fixture_view(f, "web");
	struct lb_totals sum = {};

	if (!backend)
		lb_counts_gone(&f->tables, view.id, &sum);
	for (size_t i = 0; i < view.n_backends; i++) {
		if (!backend || strcmp(view.backends[i].name, backend) == 0)
			lb_counts_add(&f->tables, view.backends[i].id, &sum);
	}
	return sum;
}

static void assert_counted(struct fixture *f, const char *backend, __u64 n)
{
	struct lb_totals sum = counted(f, backend);

	assert_int_equal(sum.packets, 3 * n);
	assert_int_equal(sum.bytes, 300 * n);
	assert_int_equal(sum.syns, n);
	assert_int_equal(sum.refused, n);
	/* Of these a backend has no room for what it was elsewhere. */
	assert_true(backend || (sum.known == n && sum.base == n));
}

static void test_id_serves_again(void **state)
{
	struct fixture f;
	__u32 id;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, at(&f, "10.0.0.2"));
	id = fixture_find_backend(&f, "b1")->id;
	count(&f, id, 0, 5);
	count(&f, id, 1, 7);
	fixture_apply(&f, at(&f, NULL));
	fixture_pass(&f, 30);
	assert_null(fixture_find_backend(&f, "b1"));
	fixture_apply(&f, at(&f, "10.0.0.2"));
	assert_int_equal(fixture_find_backend(&f, "b1")->id, id);
	assert_int_equal(cpu_packets(&f, 0), 15);
	assert_int_equal(cpu_packets(&f, 1), 21);
	assert_int_equal(f.tables.reasons[1].reason[LB_CARRIED_BYTES].packets, 7 * 300);
	assert_int_equal(f.tables.reasons[1].reason[LB_CARRIED_REFUSED].packets, 7);
	assert_counted(&f, "b1", 0);
	assert_counted(&f, NULL, 12);
	fixture_done(&f);
}

static void test_leaving_backend_is_forgotten(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, at(&f, "10.0.0.2"));
	count(&f, fixture_find_backend(&f, "b0")->id, 0, 1);
	count(&f, fixture_find_backend(&f, "b1")->id, 0, 5);
	fixture_apply(&f, at(&f, NULL));
	assert_counted(&f, NULL, 6);
	fixture_pass(&f, 30);
	assert_null(fixture_find_backend(&f, "b1"));
	assert_counted(&f, NULL, 6);
	assert_int_equal(fixture_restart(&f), 0);
	fixture_apply(&f, at(&f, NULL));
	assert_counted(&f, NULL, 6);
	assert_int_equal(cpu_packets(&f, 0), 18);
	fixture_done(&f);
}

/* Under the same name it is the same backend, whose counts go on; also from address to address. */
static void test_address_changes(void **state)
{
	static const char *const addresses[] = { "10.0.0.3", "10.0.0.4", "10.0.0.5" };
	struct fixture f;
	__u64 n = 5;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, at(&f, "10.0.0.2"));
	count(&f, fixture_find_backend(&f, "b1")->id, 1, n);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		fixture_apply(&f, at(&f, addresses[i]));
		assert_int_equal(fixture_view(&f, "web").n_backends, 3);
		assert_counted(&f, "b1", n);
		fixture_pass(&f, 30);
		assert_int_equal(fixture_view(&f, "web").n_backends, 2);
		assert_counted(&f, "b1", n);
		assert_counted(&f, NULL, n);
		count(&f, fixture_find_backend(&f, "b1")->id, 0, 1);
		assert_counted(&f, "b1", ++n);
	}
	/* When it goes for good, the service has it all. */
	fixture_apply(&f, at(&f, NULL));
	fixture_pass(&f, 30);
	assert_counted(&f, NULL, n);
	assert_counted(&f, "b1", 0);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_serves_again),
		cmocka_unit_test(test_leaving_backend_is_forgotten),
		cmocka_unit_test(test_address_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
