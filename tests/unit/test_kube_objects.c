// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects of Kubernetes as they are read: what is kept, what is refused, and what is seen of the cluster
 * then.
 */
#include "kube_fixture.h"

static void refused(const char *what, const char *text)
{
	struct lb_kube_service *service = NULL;
	struct lb_error error = {};
	cJSON *json = json_of("%s", text);

	if (lb_kube_service_parse(json, &service, &error) != -EINVAL)
		fail_msg("%s was not refused", what);
	assert_null(service);
	assert_true(error.text[0]);
	cJSON_Delete(json);
}

static void test_service_is_read(void **state)
{
	struct lb_kube_service *service = service_of("web",
						     ",'annotations':{'weir.dev/pool':'a','other.dev/"
						     "x':'y'},'finalizers':['weir.dev/service','z']",
						     ",'externalTrafficPolicy':'Local','healthCheckNodePort':"
						     "30999,'ipFamilies':['IPv6','IPv4']" PORT_80,
						     "'loadBalancer':{'ingress':[{'ip':'203.0.113.1','ipMode'"
						     ":'VIP','ports':[{'port':80,'protocol':'TCP'}]}]}");

	assert_true(service->load_balancer && service->local && !service->client_ip);
	assert_int_equal(service->health_check_node_port, 30999);
	assert_int_equal(service->n_families, 2);
	assert_int_equal(service->families[0], LB_FAMILY_V6);
	assert_int_equal(service->annotations.n, 1);
	assert_true(lb_kube_has_finalizer(service));
	assert_int_equal(service->n_ingress, 1);
	assert_true(service->ingress[0].vip);
	assert_true(service->ingress[0].ports == lb_kube_ports_digest(service->ports, service->n_ports));
	assert_int_equal(service->ports[0].node_port, 30080);
	lb_kube_service_free(service);
}

static void test_what_has_another_type_is_refused(void **state)
{
	refused("no name", "{'metadata':{'namespace':'a'}}");
	refused("a name with a slash", "{'metadata':{'namespace':'a','name':'../x'}}");
	refused("no namespace", "{'metadata':{'name':'a'}}");
	refused("a number for a name", "{'metadata':{'namespace':'a','name':3}}");
	refused("ports that are no list", "{'metadata':{'namespace':'a','name':'b'},'spec':{'ports':{}}}");
	refused("a port that is none", "{'metadata':{'namespace':'a','name':'b'},'spec':{'ports':[7]}}");
	refused("a port too large",
		"{'metadata':{'namespace':'a','name':'b'},'spec':{'ports':[{'port':65536}]}}");
	refused("half a port", "{'metadata':{'namespace':'a','name':'b'},'spec':{'ports':[{'port':1.5}]}}");
	refused("a family of 1973",
		"{'metadata':{'namespace':'a','name':'b'},'spec':{'ipFamilies':['IPv3']}}");
	refused("three families",
		"{'metadata':{'namespace':'a','name':'b'},'spec':{'ipFamilies':['IPv4','IPv6','IPv4']}}");
	refused("a text for a list", "{'metadata':{'namespace':'a','name':'b','finalizers':'x'}}");
	refused("a list", "[]");
}

static void test_absence_is_no_mistake(void **state)
{
	struct lb_kube_service *service = service_of("web", "", ",'ports':null,'ipFamilies':null", "");

	assert_int_equal(service->n_families, 1);
	assert_int_equal(service->families[0], LB_FAMILY_V4);
	assert_int_equal(service->n_ports + service->n_ingress + service->n_source_ranges, 0);
	lb_kube_service_free(service);
}

static void test_conditions_by_default(void **state)
{
	struct lb_kube_names *names = lb_kube_names_new();
	struct lb_kube_slice *slice = slice_of(
		names, "s", "web", "IPv4",
		"{'addresses':['10.1.0.1'],'nodeName':'n1'},"
		"{'addresses':['10.1.0.2'],'nodeName':'n1','conditions':{'ready':false}},"
		"{'addresses':['10.1.0.3'],'conditions':{'ready':false,'serving':true,'terminating':true}}");

	assert_int_equal(slice->n_endpoints, 3);
	assert_int_equal(slice->endpoints[0].conditions, LB_KUBE_READY | LB_KUBE_SERVING);
	assert_int_equal(slice->endpoints[1].conditions, 0);
	assert_int_equal(slice->endpoints[2].conditions, LB_KUBE_SERVING | LB_KUBE_TERMINATING);
	assert_ptr_equal(slice->endpoints[0].node, slice->endpoints[1].node);
	assert_null(slice->endpoints[2].node);
	assert_int_equal(lb_kube_names_count(names), 1);
	lb_kube_slice_free(slice);
	assert_int_equal(lb_kube_names_count(names), 0);
	lb_kube_names_free(names);
}

static void test_slices_of_host_names_have_no_endpoints(void **state)
{
	struct lb_kube_names *names = lb_kube_names_new();
	struct lb_kube_slice *slice =
		slice_of(names, "s", "web", "FQDN", "{'addresses':['a.example'],'nodeName':'n1'}");

	assert_int_equal(slice->family, 0);
	assert_int_equal(slice->n_endpoints, 0);
	lb_kube_slice_free(slice);
	lb_kube_names_free(names);
}

static void test_nodes(void **state)
{
	struct lb_kube_node *plain = node_of("n1", 1, "", ""), *other;

	assert_false(plain->excluded || plain->leaving || plain->edge);
	assert_int_equal(plain->addresses[0].bytes[3], 1);
	assert_int_equal(plain->addresses[1].family, LB_FAMILY_V6);
	other = node_of("n1", 1, ",'labels':{'weir.dev/edge':''}", "");
	assert_true(other->edge);
	assert_false(lb_kube_node_equal(plain, other));
	lb_kube_node_free(other);
	other = node_of("n1", 1, ",'resourceVersion':'77'", "'unschedulable':true");
	assert_true(lb_kube_node_equal(plain, other));
	lb_kube_node_free(other);
	other = node_of("n1", 1, ",'labels':{'node.kubernetes.io/exclude-from-external-load-balancers':'x'}",
			"");
	assert_true(other->excluded);
	lb_kube_node_free(other);
	other = node_of("n1", 1, "",
			"'taints':[{'key':'ToBeDeletedByClusterAutoscaler','effect':'NoSchedule'}]");
	assert_true(other->leaving);
	lb_kube_node_free(other);
	lb_kube_node_free(plain);
}

static void test_names_at_their_limits(void **state)
{
	struct lb_kube_short a, b;
	char long_a[254], long_b[254];

	memset(long_a, 'a', 253);
	long_a[253] = 0;
	memcpy(long_b, long_a, 254);
	long_b[252] = 'b';
	lb_kube_shorten(long_a, &a);
	lb_kube_shorten(long_b, &b);
	assert_int_equal(strlen(a.text), 63);
	assert_string_not_equal(a.text, b.text);
	long_a[63] = 0;
	lb_kube_shorten(long_a, &a);
	assert_string_equal(a.text, long_a);
}

/* --- what is seen of the cluster -------------------------------------------------------------------------
 */

static size_t drain_changes(struct lb_kube_store *store)
{
	struct lb_kube_group *group;
	size_t n = 0;

	while ((group = lb_kube_store_changed(store))) {
		n++;
		lb_kube_store_settle(store, group);
	}
	return n;
}

static void put_service(struct lb_kube_store *store, const char *name)
{
	assert_int_equal(lb_kube_store_service(store, service_of(name, "", PORT_80, "")), 0);
}

static void put_slice(struct lb_kube_store *store, const char *name, const char *service)
{
	assert_int_equal(
		lb_kube_store_slice(store, slice_of(lb_kube_store_names(store), name, service, "IPv4",
						    "{'addresses':['10.1.0.1'],'nodeName':'n1'}")),
		0);
}

static void test_resources_come_in_any_order(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();
	struct lb_kube_group *group;

	put_slice(store, "web-1", "web");
	assert_int_equal(drain_changes(store), 1);
	put_service(store, "web");
	group = lb_kube_store_find(store, "default/web");
	assert_non_null(group);
	assert_int_equal(group->n_slices, 1);
	assert_int_equal(drain_changes(store), 1);
	lb_kube_store_remove(store, LB_KUBE_SERVICES, "default", "web");
	lb_kube_store_remove(store, LB_KUBE_SLICES, "default", "web-1");
	assert_int_equal(drain_changes(store), 1);
	assert_null(lb_kube_store_find(store, "default/web"));
	lb_kube_store_free(store);
}

static void test_a_slice_that_gets_another_label_moves(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();

	put_service(store, "a");
	put_service(store, "b");
	put_slice(store, "s", "a");
	put_slice(store, "s", "b");
	assert_int_equal(lb_kube_store_find(store, "default/a")->n_slices, 0);
	assert_int_equal(lb_kube_store_find(store, "default/b")->n_slices, 1);
	assert_int_equal(lb_kube_store_count(store).endpoints, 1);
	assert_int_equal(lb_kube_store_count(store).slices, 1);
	lb_kube_store_free(store);
}

static void test_what_a_list_does_not_have_is_gone(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();

	put_service(store, "a");
	put_service(store, "b");
	put_slice(store, "s", "b");
	drain_changes(store);
	lb_kube_store_begin(store, LB_KUBE_SERVICES);
	put_service(store, "a");
	lb_kube_store_end(store, LB_KUBE_SERVICES);
	assert_null(lb_kube_store_find(store, "default/b")->service);
	assert_int_equal(lb_kube_store_count(store).services, 1);
	assert_int_equal(drain_changes(store), 2);
	lb_kube_store_begin(store, LB_KUBE_SLICES);
	lb_kube_store_end(store, LB_KUBE_SLICES);
	drain_changes(store);
	assert_null(lb_kube_store_find(store, "default/b"));
	lb_kube_store_free(store);
}

static void test_nodes_that_tell_nothing_new_change_nothing(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();
	size_t n;

	put_service(store, "a");
	assert_int_equal(lb_kube_store_node(store, node_of("n2", 2, "", "")), 0);
	assert_int_equal(lb_kube_store_node(store, node_of("n1", 1, "", "")), 0);
	drain_changes(store);
	assert_int_equal(lb_kube_store_node(store, node_of("n1", 1, "", "'unschedulable':true")), 0);
	assert_int_equal(drain_changes(store), 0);
	assert_int_equal(lb_kube_store_node(store, node_of("n1", 7, "", "")), 0);
	assert_int_equal(drain_changes(store), 1);
	assert_string_equal(lb_kube_store_nodes(store, &n)[0]->meta.name, "n1");
	assert_int_equal(n, 2);
	lb_kube_store_begin(store, LB_KUBE_NODES);
	lb_kube_store_end(store, LB_KUBE_NODES);
	assert_null(lb_kube_store_find_node(store, "n1"));
	assert_int_equal(drain_changes(store), 1);
	lb_kube_store_free(store);
}

static void test_deleted_and_made_again_within_a_gap_is_a_change(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();
	struct lb_kube_service *again = service_of("a", "", PORT_80, "");

	put_service(store, "a");
	drain_changes(store);
	/* The same resourceVersion, as etcd gives it after it was restored; another uid. */
	free(again->meta.uid);
	again->meta.uid = strdup("another");
	assert_int_equal(lb_kube_store_service(store, again), 0);
	assert_string_equal(lb_kube_store_find(store, "default/a")->service->meta.uid, "another");
	assert_int_equal(drain_changes(store), 1);
	lb_kube_store_free(store);
}

/* The sanitizer counts what is left. */
static void test_many_events_leave_nothing_behind(void **state)
{
	struct lb_kube_store *store = lb_kube_store_new();
	unsigned int random = 1;
	char name[16];

	for (int i = 0; i < 20000; i++) {
		random = random * 1103515245u + 12345u;
		snprintf(name, sizeof(name), "s%u", random >> 16 & 15);
		switch (random >> 24 & 3) {
		case 0:
			put_service(store, name);
			break;
		case 1:
			put_slice(store, name, random & 0x10000 ? "s1" : name);
			break;
		case 2:
			lb_kube_store_remove(store, LB_KUBE_SERVICES, "default", name);
			break;
		default:
			lb_kube_store_remove(store, LB_KUBE_SLICES, "default", name);
		}
		if ((i & 7) == 0)
			drain_changes(store);
	}
	lb_kube_store_begin(store, LB_KUBE_SERVICES);
	lb_kube_store_end(store, LB_KUBE_SERVICES);
	lb_kube_store_begin(store, LB_KUBE_SLICES);
	lb_kube_store_end(store, LB_KUBE_SLICES);
	drain_changes(store);
	assert_int_equal(lb_kube_names_count(lb_kube_store_names(store)), 0);
	assert_int_equal(lb_kube_store_count(store).endpoints, 0);
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "default/s%d", i);
		assert_null(lb_kube_store_find(store, name));
	}
	lb_kube_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_is_read),
		cmocka_unit_test(test_what_has_another_type_is_refused),
		cmocka_unit_test(test_absence_is_no_mistake),
		cmocka_unit_test(test_conditions_by_default),
		cmocka_unit_test(test_slices_of_host_names_have_no_endpoints),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_names_at_their_limits),
		cmocka_unit_test(test_resources_come_in_any_order),
		cmocka_unit_test(test_a_slice_that_gets_another_label_moves),
		cmocka_unit_test(test_what_a_list_does_not_have_is_gone),
		cmocka_unit_test(test_nodes_that_tell_nothing_new_change_nothing),
		cmocka_unit_test(test_deleted_and_made_again_within_a_gap_is_a_change),
		cmocka_unit_test(test_many_events_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
