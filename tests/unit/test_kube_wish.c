// SPDX-License-Identifier: GPL-2.0-only
/*
 * What authors of Services wish by annotations: words that are not known are refused, with the place and what
 * would be right.
 */
#include "kube_fixture.h"

#include "kube/wish.h"

static const struct lb_kube_defaults defaults = { .class = "weir.dev/weir", .forward = LB_FORWARD_IPIP };

static void wrong(const char *key, const char *value)
{
	struct lb_kube_service *service;
	struct lb_kube_wish wish;
	struct lb_error error = {};
	char text[512];

	snprintf(text, sizeof(text), ",'annotations':{'%s':'%s'}", key, value);
	service = service_of("web", text, PORT_80, "");
	if (lb_kube_wish_parse(service, &defaults, &wish, &error) != -EINVAL)
		fail_msg("%s: %s was taken", key, value);
	assert_string_equal(error.path, key);
	assert_non_null(strstr(error.text, key));
	lb_kube_service_free(service);
}

static void test_unknown_values_of_annotations(void **state)
{
	struct lb_kube_service *service =
		service_of("web", "", ",'externalTrafficPolicy':'Sideways'" PORT_80, "");
	struct lb_kube_wish wish;

	wrong("weir.dev/forward", "teleport");
	wrong("weir.dev/forwards", "gue");
	wrong("weir.dev/algorithm", "");
	wrong("weir.dev/announce", "loud");
	wrong("weir.dev/health-check", "10.0.0.1:22");
	wrong("weir.dev/idle-timeout-s", "0");
	wrong("weir.dev/idle-timeout-s", "32001");
	wrong("weir.dev/idle-timeout-s", "9s");
	wrong("weir.dev/ring-size", "1000");
	wrong("weir.dev/ring-size", "131072");
	wrong("weir.dev/share", "a key");
	wrong("weir.dev/addresses", "203.0.113.1,203.0.113.2");
	wrong("weir.dev/addresses", "203.0.113.0/24");
	wrong("weir.dev/addresses", "");
	assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, NULL), -EINVAL);
	lb_kube_service_free(service);
}

static void test_load_balancer_ip_and_addresses(void **state)
{
	struct lb_kube_service *service =
		service_of("web", ",'annotations':{'weir.dev/addresses':'2001:db8::7, 203.0.113.7'}",
			   ",'loadBalancerIP':'203.0.113.7'" PORT_80, "");
	struct lb_kube_wish wish;

	assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, NULL), 0);
	assert_int_equal(wish.n_addresses, 2);
	free(service->wanted_address);
	service->wanted_address = strdup("203.0.113.8");
	assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, NULL), -EINVAL);
	lb_kube_service_free(service);
	service = service_of("web", "", ",'loadBalancerIP':'203.0.113.7'" PORT_80, "");
	assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, NULL), 0);
	assert_int_equal(wish.n_addresses, 1);
	lb_kube_service_free(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_values_of_annotations),
		cmocka_unit_test(test_load_balancer_ip_and_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
