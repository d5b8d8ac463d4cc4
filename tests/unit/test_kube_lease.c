// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who leads: several members and one Lease, under virtual time, with clocks that disagree.
 */
#include "kube_fixture.h"

#include "kube/lease.h"

/* The API server's part: one object, and its version. */
static cJSON *stored;
static int version;

static const char *stored_version(const cJSON *object)
{
	return cJSON_GetObjectItem(cJSON_GetObjectItem(object, "metadata"), "resourceVersion")->valuestring;
}

/* True: it was taken; false: a conflict. */
static bool store(cJSON *object)
{
	cJSON *meta = cJSON_GetObjectItem(object, "metadata"),
	      *its = cJSON_GetObjectItem(meta, "resourceVersion");
	char text[16];

	assert_non_null(object);
	if (stored ? !its || strcmp(its->valuestring, stored_version(stored)) != 0 : its != NULL) {
		cJSON_Delete(object);
		return false;
	}
	snprintf(text, sizeof(text), "v%d", ++version);
	cJSON_DeleteItemFromObject(meta, "resourceVersion");
	cJSON_AddStringToObject(meta, "resourceVersion", text);
	cJSON_Delete(stored);
	stored = object;
	return true;
}

static void reset(void)
{
	cJSON_Delete(stored);
	stored = NULL;
}

/* A member does what is to be done. wall_us: its own clock, which may be wrong. */
static void turn(struct lb_kube_lease *lease, __u64 now, __u64 wall_us)
{
	switch (lb_kube_lease_turn(lease, now)) {
	case LB_KUBE_LEASE_READ:
		assert_int_equal(lb_kube_lease_read(lease, stored, now, NULL), 0);
		break;
	case LB_KUBE_LEASE_CREATE:
	case LB_KUBE_LEASE_WRITE:
		if (store(lb_kube_lease_object(lease, "weir", "lb-kubed", wall_us)))
			assert_int_equal(lb_kube_lease_written(lease, stored, now, NULL), 0);
		else
			lb_kube_lease_failed(lease, now);
		break;
	default:
		break;
	}
}

static void test_one_of_three_leads_whatever_their_clocks_say(void **state)
{
	static const __u64 walls[] = { 0, 1800000000000000ull, 4000000000000000ull };
	struct lb_kube_lease members[3];
	int leaders = 0;

	for (int i = 0; i < 3; i++)
		lb_kube_lease_init(&members[i], (char[]){ (char)('a' + i), 0 });
	for (__u64 now = 1000; now < 300000; now += 100) {
		leaders = 0;
		for (int i = 0; i < 3; i++) {
			turn(&members[i], now, walls[i] + now * 1000);
			leaders += lb_kube_lease_leads(&members[i], now);
		}
		assert_in_range(leaders, 0, 1);
	}
	assert_int_equal(leaders, 1);
	assert_int_equal(members[0].seen.transitions, 0);
	reset();
}

static void test_a_leader_that_dies_is_followed(void **state)
{
	struct lb_kube_lease a, b;
	__u64 now, died = 20000;

	lb_kube_lease_init(&a, "a");
	lb_kube_lease_init(&b, "b");
	for (now = 1000; !lb_kube_lease_leads(&b, now); now += 100) {
		if (now < died)
			turn(&a, now, now * 1000);
		turn(&b, now, now * 1000);
		/* Never both: the one that cannot renew stops before the other begins. */
		assert_false(lb_kube_lease_leads(&a, now) && lb_kube_lease_leads(&b, now));
		assert_true(now < 60000);
	}
	assert_false(lb_kube_lease_leads(&a, now));
	assert_in_range(now - died, 10000, LB_KUBE_LEASE_S * 1000 + 2 * LB_KUBE_LEASE_TRY_MS);
	assert_int_equal(b.seen.transitions, 1);
	/* It comes back, and sees that it is another's. */
	for (int i = 0; i < 100; i++, now += 100) {
		turn(&a, now, now * 1000);
		turn(&b, now, now * 1000);
		assert_false(lb_kube_lease_leads(&a, now));
	}
	assert_true(lb_kube_lease_leads(&b, now));
	reset();
}

static void test_failures_cost_no_leadership_within_its_time(void **state)
{
	struct lb_kube_lease a;
	__u64 now = 1000, failed;

	lb_kube_lease_init(&a, "a");
	for (; now < 5000; now += 100)
		turn(&a, now, now * 1000);
	assert_true(lb_kube_lease_leads(&a, now));
	for (failed = now; now < failed + 7000; now += 100)
		if (lb_kube_lease_turn(&a, now) != LB_KUBE_LEASE_NOTHING)
			lb_kube_lease_failed(&a, now);
	assert_true(lb_kube_lease_leads(&a, now));
	for (; now < failed + 10000; now += 100)
		if (lb_kube_lease_turn(&a, now) != LB_KUBE_LEASE_NOTHING)
			lb_kube_lease_failed(&a, now);
	assert_false(lb_kube_lease_leads(&a, now));
	/* And it is taken up again where it was left. */
	for (int i = 0; i < 20; i++, now += 100)
		turn(&a, now, now * 1000);
	assert_true(lb_kube_lease_leads(&a, now));
	reset();
}

static void test_one_that_cannot_read_does_not_wait_anew_each_time(void **state)
{
	struct lb_kube_lease a, b;
	__u64 now = 1000;

	lb_kube_lease_init(&a, "a");
	lb_kube_lease_init(&b, "b");
	for (; now < 3000; now += 100)
		turn(&a, now, now * 1000);
	turn(&b, now, now * 1000);
	/* Every second answer that b gets is an error; a is dead. */
	for (int i = 0; !lb_kube_lease_leads(&b, now); i++, now += 100) {
		if (i / 30 % 2 == 0 && lb_kube_lease_turn(&b, now) != LB_KUBE_LEASE_NOTHING)
			lb_kube_lease_failed(&b, now);
		turn(&b, now, now * 1000);
		assert_true(now < 30000);
	}
	reset();
}

static void test_a_lease_given_back_is_taken_at_once(void **state)
{
	struct lb_kube_lease a, b;
	__u64 now = 1000, given;
	cJSON *object;

	lb_kube_lease_init(&a, "a");
	lb_kube_lease_init(&b, "b");
	for (; now < 5000; now += 100) {
		turn(&a, now, now * 1000);
		turn(&b, now, now * 1000);
	}
	assert_null(lb_kube_lease_released(&b, "weir", "lb-kubed", 0));
	object = lb_kube_lease_released(&a, "weir", "lb-kubed", 0);
	assert_true(store(object));
	for (given = now; !lb_kube_lease_leads(&b, now); now += 100)
		turn(&b, now, now * 1000);
	assert_in_range(now - given, 0, LB_KUBE_LEASE_TRY_MS + 100);
	reset();
}

static void test_a_restarted_holder_goes_on_at_once(void **state)
{
	struct lb_kube_lease a;
	__u64 now = 1000;

	lb_kube_lease_init(&a, "a");
	for (; now < 5000; now += 100)
		turn(&a, now, now * 1000);
	lb_kube_lease_init(&a, "a");
	/* Its monotonic clock may have begun anew. */
	for (now = 10; now < 400; now += 100)
		turn(&a, now, now * 1000);
	assert_true(lb_kube_lease_leads(&a, now));
	reset();
}

static void test_what_is_no_lease(void **state)
{
	struct lb_kube_lease a;
	cJSON *json = json_of("{'metadata':{'resourceVersion':'1'},'spec':{'holderIdentity':7}}");

	lb_kube_lease_init(&a, "a");
	assert_int_equal(lb_kube_lease_turn(&a, 1000), LB_KUBE_LEASE_READ);
	assert_int_equal(lb_kube_lease_read(&a, json, 1000, NULL), -EINVAL);
	assert_false(lb_kube_lease_leads(&a, 1000));
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_of_three_leads_whatever_their_clocks_say),
		cmocka_unit_test(test_a_leader_that_dies_is_followed),
		cmocka_unit_test(test_failures_cost_no_leadership_within_its_time),
		cmocka_unit_test(test_one_that_cannot_read_does_not_wait_anew_each_time),
		cmocka_unit_test(test_a_lease_given_back_is_taken_at_once),
		cmocka_unit_test(test_a_restarted_holder_goes_on_at_once),
		cmocka_unit_test(test_what_is_no_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
