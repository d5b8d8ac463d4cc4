// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services of Kubernetes as services of the schema: each field that is honoured has a test of its name.
 */
#include "kube_translate_fixture.h"

/* --- tests -----------------------------------------------------------------------------------------------
 */

static void test_load_balancer_class(void **state)
{
	struct lb_kube_defaults any = defaults;
	struct lb_kube_service *service = service_of("web", "", PORT_80, "");

	assert_true(lb_kube_is_ours(service, &defaults));
	strcpy(service->class, "other");
	assert_false(lb_kube_is_ours(service, &defaults));
	free(service->class);
	service->class = NULL;
	assert_false(lb_kube_is_ours(service, &defaults));
	any.default_class = true;
	assert_true(lb_kube_is_ours(service, &any));
	service->load_balancer = false;
	assert_false(lb_kube_is_ours(service, &any));
	lb_kube_service_free(service);
}

static void test_external_traffic_policy_local(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1") "," READY("10.1.0.2", "n1") "," READY("10.1.0.3", "n3"));
	translate(&f);
	assert_int_equal(f.config->n_services, 1);
	assert_string_equal(f.config->services[0].name, "default.web.80.tcp.v4");
	assert_string_equal(backends(&f, 0), "n1=200 n3=100");
	assert_int_equal(f.config->services[0].on_empty, LB_ON_EMPTY_WITHDRAW);
	slice(&f, "s1", "");
	translate(&f);
	assert_string_equal(backends(&f, 0), "");
	teardown(&f);
}

static void test_external_traffic_policy_cluster(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1") "," READY("10.1.0.2", "n1"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	slice(&f, "s1", NOT_READY("10.1.0.1", "n1"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "");
	teardown(&f);
}

static void test_internal_traffic_policy_is_ignored(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'internalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	teardown(&f);
}

static void test_endpoint_conditions(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1") "," ENDING("10.1.0.2", "n2") "," NOT_READY("10.1.0.3", "n3"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100");
	slice(&f, "s1", ENDING("10.1.0.2", "n2") "," NOT_READY("10.1.0.3", "n3"));
	/* What terminates serves while nothing else does; the node's answer counts the ready ones, of which
	 * there are none. */
	f.proofs[2] = LB_KUBE_FAILED;
	translate(&f);
	assert_string_equal(backends(&f, 0), "n2=100");
	teardown(&f);
}

static void test_publish_not_ready_addresses(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local','publishNotReadyAddresses':true" PORT_80);
	slice(&f, "s1", NOT_READY("10.1.0.3", "n3"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n3=100");
	teardown(&f);
}

static void test_an_endpoint_in_two_slices_is_one(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1") "," READY("10.1.0.2", "n2"));
	slice(&f, "s2", NOT_READY("10.1.0.1", "n1") "," READY("10.1.0.2", "n2"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100");
	teardown(&f);
}

static void test_more_endpoints_than_a_weight_can_say(void **state)
{
	struct fixture f;
	char *text = malloc(1 << 20), *at = text;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local'" PORT_80);
	for (int i = 0; i < 1500; i++)
		at += sprintf(at, "%s{'addresses':['10.2.%d.%d'],'nodeName':'n1'}", i ? "," : "", i / 250,
			      i % 250);
	slice(&f, "s1", text);
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=65535");
	free(text);
	teardown(&f);
}

static void test_endpoints_that_a_node_says_it_has(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1",
	      READY("10.1.0.1", "n1") "," READY("10.1.0.2", "n1") "," READY("10.1.0.3", "n1") "," READY(
		      "10.1.0.4", "n2") "," READY("10.1.0.5", "n3"));
	/* One less at once, one more when the node has heard of it; and one that says nothing is believed. */
	f.endpoints[1] = 2;
	f.endpoints[2] = 5;
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=200 n2=100 n3=100");
	/* Of endpoints of the whole cluster, a node's own are no measure. */
	put(&f, "", PORT_80);
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	teardown(&f);
}

static void test_health_check_node_port_and_proxy_health(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	f.proofs[2] = LB_KUBE_UNPROVEN;
	f.proofs[3] = LB_KUBE_FAILED;
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n3!100");
	/* If all fail at once, it is not the nodes. */
	f.proofs[1] = LB_KUBE_FAILED;
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n3=100");
	f.proofs[1] = f.proofs[3] = LB_KUBE_UNPROVEN;
	translate(&f);
	assert_string_equal(backends(&f, 0), "");
	put(&f, ",'annotations':{'weir.dev/health-check':'none'}", PORT_80);
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	teardown(&f);
}

static void test_session_affinity(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	translate(&f);
	assert_int_equal(f.config->services[0].affinity, LB_AFFINITY_FLOW);
	assert_false(noted(&f, LB_KUBE_REASON_SessionTimeoutIgnored));
	put(&f, "",
	    ",'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':10}"
	    "}" PORT_80);
	translate(&f);
	assert_int_equal(f.config->services[0].affinity, LB_AFFINITY_SOURCE);
	assert_true(noted(&f, LB_KUBE_REASON_SessionTimeoutIgnored));
	teardown(&f);
}

static void test_load_balancer_source_ranges(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	translate(&f);
	assert_string_equal(ranges(&f, 0), "");
	/* Each once, as the API server takes them: blanks around, bits behind the length. */
	put(&f, "",
	    ",'loadBalancerSourceRanges':['10.1.2.3/8',' 192.0.2.0/24 "
	    "','10.0.0.0/8','2001:db8::/32']" PORT_80);
	translate(&f);
	assert_string_equal(ranges(&f, 0), "10.0.0.0/8 192.0.2.0/24");
	assert_int_equal(f.notes.n, 0);
	put(&f, "", ",'loadBalancerSourceRanges':['10.0.0.0/8','0.0.0.0/0']" PORT_80);
	translate(&f);
	assert_string_equal(ranges(&f, 0), "");
	assert_int_equal(f.notes.n, 0);
	/* Each family has its own; of one that has none nobody is let in. */
	f.n_addresses = 2;
	put(&f, "",
	    ",'ipFamilies':['IPv4','IPv6'],'loadBalancerSourceRanges':['10.0.0.0/8','2001:db8::/"
	    "32']" PORT_80);
	translate(&f);
	assert_string_equal(ranges(&f, 0), "10.0.0.0/8");
	assert_string_equal(ranges(&f, 1), "2001:db8::/32");
	put(&f, "", ",'ipFamilies':['IPv4','IPv6'],'loadBalancerSourceRanges':['0.0.0.0/0']" PORT_80);
	translate(&f);
	assert_string_equal(ranges(&f, 0), "");
	assert_string_equal(ranges(&f, 1), "::");
	assert_true(noted(&f, LB_KUBE_REASON_NoSourceOfFamily));
	teardown(&f);
}

static void test_bad_load_balancer_source_ranges(void **state)
{
	static const char *const bad[] = { "'any'", "'10.0.0.0/33'", "'10.0.0.0/8','x'", "''" };
	struct lb_error error = {};
	struct lb_kube_service *service;
	struct lb_kube_wish wish;
	char *spec = malloc(LB_SOURCE_RANGES_MAX * 32), *at;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sprintf(spec, ",'loadBalancerSourceRanges':[%s]" PORT_80, bad[i]);
		service = service_of("web", "", spec, "");
		assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, &error), -EINVAL);
		assert_non_null(strstr(error.text, "loadBalancerSourceRanges"));
		lb_kube_service_free(service);
	}
	for (int more = 0; more < 2; more++) {
		at = spec + sprintf(spec, ",'loadBalancerSourceRanges':[");
		for (int i = 0; i < LB_SOURCE_RANGES_MAX + more; i++)
			at += sprintf(at, "%s'10.0.%d.%d'", i ? "," : "", i >> 8, i & 255);
		strcpy(at, "]" PORT_80);
		service = service_of("web", "", spec, "");
		assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, &error), more ? -EINVAL : 0);
		lb_kube_service_free(service);
	}
	free(spec);
}

static void test_allocate_load_balancer_node_ports(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "",
	    ",'allocateLoadBalancerNodePorts':false,'ports':[{'name':'http','port':80,'protocol':'TCP'}]");
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	teardown(&f);
}

static void test_dual_stack(void **state)
{
	struct fixture f;

	setup(&f);
	f.n_addresses = 2;
	put(&f, "", ",'ipFamilies':['IPv6','IPv4'],'externalTrafficPolicy':'Local'" PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	assert_int_equal(lb_kube_store_slice(f.store, slice_of(lb_kube_store_names(f.store), "s6", "web",
							       "IPv6", READY("fd01::2", "n2"))),
			 0);
	translate(&f);
	assert_int_equal(f.parts.n, 2);
	assert_string_equal(f.config->services[0].name, "default.web.80.tcp.v4");
	assert_string_equal(backends(&f, 0), "n1=100");
	assert_string_equal(f.config->services[1].name, "default.web.80.tcp.v6");
	assert_string_equal(backends(&f, 1), "n2=100");
	assert_int_equal(f.config->services[1].backends[0].address.family, LB_FAMILY_V6);
	/* An address of a family that the Service has no more is not served. */
	put(&f, "", ",'ipFamilies':['IPv6']" PORT_80);
	translate(&f);
	assert_int_equal(f.parts.n, 1);
	teardown(&f);
}

static void test_several_ports_and_protocols(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "",
	    ",'ports':[{'name':'http','port':80,'protocol':'TCP'},{'name':'dns','port':80,'protocol':'UDP'},"
	    "{'name':'sctp','port':81,'protocol':'SCTP'}]");
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	translate(&f);
	assert_int_equal(f.parts.n, 2);
	assert_string_equal(f.config->services[0].name, "default.web.80.tcp.v4");
	assert_string_equal(f.config->services[1].name, "default.web.80.udp.v4");
	assert_int_equal(f.config->services[1].protocol, IPPROTO_UDP);
	assert_true(noted(&f, LB_KUBE_REASON_ProtocolNotBalanced));
	/* The slice carries the port http alone: nobody serves the other. */
	assert_string_equal(backends(&f, 0), "n1=100 n2=100 n3=100");
	assert_string_equal(backends(&f, 1), "");
	teardown(&f);
}

static void test_excluded_nodes(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	assert_int_equal(
		lb_kube_store_node(
			f.store,
			node_of("n2", 2,
				",'labels':{'node.kubernetes.io/exclude-from-external-load-balancers':''}",
				"")),
		0);
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100 n3=100");
	teardown(&f);
}

static void test_nodes_that_leave_drain_and_cordoned_ones_stay(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, "", PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	lb_kube_store_node(f.store, node_of("n1", 1, ",'deletionTimestamp':'2026-01-01T00:00:00Z'", ""));
	lb_kube_store_node(f.store,
			   node_of("n2", 2, "", "'taints':[{'key':'ToBeDeletedByClusterAutoscaler'}]"));
	lb_kube_store_node(
		f.store,
		node_of("n3", 3, "",
			"'unschedulable':true,'taints':[{'key':'node.kubernetes.io/unschedulable'}]"));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1!100 n2!100 n3=100");
	teardown(&f);
}

static void test_nodes_without_addresses(void **state)
{
	struct fixture f;
	struct lb_kube_node *node = NULL;
	cJSON *json = json_of(
		"{'metadata':{'name':'n1'},'status':{'addresses':[{'type':'InternalIP','address':'x'},"
		"{'type':'InternalIP','address':'10.9.9.1'},{'type':'InternalIP','address':'10.9.9.2'}]}}");

	setup(&f);
	put(&f, "", ",'externalTrafficPolicy':'Local','ipFamilies':['IPv4','IPv6']" PORT_80);
	f.n_addresses = 2;
	assert_int_equal(lb_kube_node_parse(json, "edge", &node, NULL), 0);
	lb_kube_store_node(f.store, node);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	lb_kube_store_slice(
		f.store, slice_of(lb_kube_store_names(f.store), "s6", "web", "IPv6", READY("fd01::2", "n1")));
	translate(&f);
	assert_string_equal(backends(&f, 0), "n1=100");
	assert_int_equal(f.config->services[0].backends[0].address.bytes[3], 1);
	assert_string_equal(backends(&f, 1), "");
	assert_true(noted(&f, LB_KUBE_REASON_NoNodeAddress));
	cJSON_Delete(json);
	teardown(&f);
}

static void test_annotations(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f,
	    ",'annotations':{'weir.dev/forward':'gue','weir.dev/algorithm':'maglev','weir.dev/"
	    "idle-timeout-s':'60',"
	    "'weir.dev/announce':'none','weir.dev/ring-size':'2048'}",
	    PORT_80);
	translate(&f);
	assert_int_equal(f.config->services[0].forward, LB_FORWARD_GUE);
	assert_int_equal(f.config->services[0].algorithm, LB_ALGORITHM_MAGLEV);
	assert_int_equal(f.config->services[0].idle_timeout_s, 60);
	assert_int_equal(f.config->services[0].announce, LB_ANNOUNCE_BY_NONE);
	assert_int_equal(f.config->services[0].ring_size, 2048);
	put(&f, ",'annotations':{'weir.dev/announce':'neighbor'}", PORT_80);
	translate(&f);
	assert_int_equal(f.config->services[0].announce, LB_ANNOUNCE_BY_NEIGHBOR);
	put(&f, "", PORT_80);
	translate(&f);
	assert_int_equal(f.config->services[0].forward, LB_FORWARD_IPIP);
	assert_int_equal(f.config->services[0].announce, LB_ANNOUNCE_BY_ROUTE);
	teardown(&f);
}

static void test_l2_never_to_a_node_that_balances_itself(void **state)
{
	struct fixture f;

	setup(&f);
	put(&f, ",'annotations':{'weir.dev/forward':'l2'}", PORT_80);
	slice(&f, "s1", READY("10.1.0.1", "n1"));
	translate(&f);
	assert_int_equal(f.config->services[0].forward, LB_FORWARD_L2);
	lb_kube_store_node(f.store, node_of("n2", 2, ",'labels':{'weir.dev/edge':'true'}", ""));
	translate(&f);
	assert_int_equal(f.config->services[0].forward, LB_FORWARD_IPIP);
	assert_true(noted(&f, LB_KUBE_REASON_ForwardByTunnel));
	teardown(&f);
}

static void test_long_names(void **state)
{
	struct fixture f;
	struct lb_kube_short a, b;
	struct lb_kube_port port = { .port = 443, .protocol = IPPROTO_TCP },
			    other = { .port = 444, .protocol = IPPROTO_TCP };
	struct lb_kube_service *service;

	setup(&f);
	service = service_of("a-service-with-a-name-that-is-as-long-as-a-label-may-be-at-most", "", PORT_80,
			     "");
	lb_kube_part_name(service, &port, LB_FAMILY_V4, &a);
	lb_kube_part_name(service, &other, LB_FAMILY_V4, &b);
	assert_int_equal(strlen(a.text), 63);
	assert_string_not_equal(a.text, b.text);
	lb_kube_service_free(service);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_balancer_class),
		cmocka_unit_test(test_external_traffic_policy_local),
		cmocka_unit_test(test_external_traffic_policy_cluster),
		cmocka_unit_test(test_internal_traffic_policy_is_ignored),
		cmocka_unit_test(test_endpoint_conditions),
		cmocka_unit_test(test_publish_not_ready_addresses),
		cmocka_unit_test(test_an_endpoint_in_two_slices_is_one),
		cmocka_unit_test(test_more_endpoints_than_a_weight_can_say),
		cmocka_unit_test(test_endpoints_that_a_node_says_it_has),
		cmocka_unit_test(test_health_check_node_port_and_proxy_health),
		cmocka_unit_test(test_session_affinity),
		cmocka_unit_test(test_load_balancer_source_ranges),
		cmocka_unit_test(test_bad_load_balancer_source_ranges),
		cmocka_unit_test(test_allocate_load_balancer_node_ports),
		cmocka_unit_test(test_dual_stack),
		cmocka_unit_test(test_several_ports_and_protocols),
		cmocka_unit_test(test_excluded_nodes),
		cmocka_unit_test(test_nodes_that_leave_drain_and_cordoned_ones_stay),
		cmocka_unit_test(test_nodes_without_addresses),
		cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_l2_never_to_a_node_that_balances_itself),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
