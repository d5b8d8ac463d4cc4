// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools of addresses, who has which, and which a Service is given.
 */
#include "kube_fixture.h"

#include "kube/ledger.h"

struct fixture {
	struct lb_kube_pools pools;
	struct lb_kube_ledger *ledger;
	struct lb_kube_notes notes;
	struct lb_address given[LB_KUBE_FAMILIES];
	size_t n;
	char lost[256];
};

static const struct lb_kube_defaults defaults = { .class = "weir.dev/weir" };

static void lost(void *context, const char *key)
{
	struct fixture *f = context;

	strcat(strcat(f->lost, key), ";");
}

static void parse(struct fixture *f, const char *pools)
{
	struct lb_error error = {};
	char *text = strdup(pools);

	for (char *at = text; *at; at++)
		if (*at == '\'')
			*at = '"';
	lb_kube_pools_done(&f->pools);
	if (lb_kube_pools_parse(text, &f->pools, &error) < 0)
		fail_msg("%s: %s", error.path, error.text);
	free(text);
}

static void setup(struct fixture *f, const char *pools)
{
	memset(f, 0, sizeof(*f));
	f->ledger = lb_kube_ledger_new();
	lb_kube_ledger_on_loss(f->ledger, lost, f);
	parse(f, pools);
}

static void teardown(struct fixture *f)
{
	lb_kube_ledger_free(f->ledger);
	lb_kube_pools_done(&f->pools);
}

/* What a Service is given that has (held) nothing, or one address, and claims it. "-": nothing; "A B" of two.
 */
static const char *give_held(struct fixture *f, const char *name, const char *meta, const char *spec,
			     const char *held)
{
	static char text[2 * LB_ADDRESS_TEXT_MAX];
	struct lb_kube_service *service = service_of(name, meta, spec, "");
	struct lb_address has = {};
	struct lb_kube_wish wish;
	char key[330], one[LB_ADDRESS_TEXT_MAX];

	memset(&f->notes, 0, sizeof(f->notes));
	lb_kube_group_key("default", name, key);
	assert_int_equal(lb_kube_wish_parse(service, &defaults, &wish, NULL), 0);
	if (held) {
		assert_int_equal(lb_address_parse(held, &has), 0);
		assert_int_equal(lb_kube_ledger_claim(f->ledger, key, service, wish.share, &has), 0);
	}
	lb_kube_allocate(f->ledger, &f->pools, key, service, &wish, &has, held != NULL, f->given, &f->n,
			 &f->notes);
	strcpy(text, f->n ? "" : "-");
	for (size_t i = 0; i < f->n; i++) {
		assert_int_equal(lb_kube_ledger_claim(f->ledger, key, service, wish.share, &f->given[i]), 0);
		strcat(strcat(text, i ? " " : ""), lb_address_text(&f->given[i], one));
	}
	lb_kube_service_free(service);
	return text;
}

static const char *give(struct fixture *f, const char *name, const char *meta, const char *spec)
{
	return give_held(f, name, meta, spec, NULL);
}

static void release(struct fixture *f, const char *key, const char *text)
{
	struct lb_address address;

	assert_int_equal(lb_address_parse(text, &address), 0);
	lb_kube_ledger_release(f->ledger, key, &address);
}

static enum lb_kube_reason note(const struct fixture *f)
{
	assert_int_equal(f->notes.n, 1);
	return f->notes.all[0].reason;
}

#define SMALL "{'pools':[{'name':'small','addresses':['203.0.113.0/31','203.0.113.9']}]}"

static void test_ranges_and_prefixes(void **state)
{
	struct fixture f;

	setup(&f, "{'pools':[{'name':'a','addresses':['203.0.113.250-203.0.114.2','2001:db8::/126']}]}");
	assert_int_equal(lb_kube_pools_size(&f.pools, LB_FAMILY_V4), 9);
	assert_int_equal(lb_kube_pools_size(&f.pools, LB_FAMILY_V6), 4);
	for (int i = 0; i < 6; i++)
		give(&f, (char[]){ 'a', (char)('0' + i), 0 }, "", PORT_80);
	assert_string_equal(give(&f, "b", "", PORT_80), "203.0.114.0");
	assert_int_equal(lb_kube_ledger_count(f.ledger, LB_FAMILY_V4), 7);
	parse(&f, "{'pools':[{'name':'a','addresses':['::/0','0.0.0.0/0']}]}");
	assert_true(lb_kube_pools_size(&f.pools, LB_FAMILY_V6) == 1ull << 53);
	assert_string_equal(give(&f, "c", "", ",'ipFamilies':['IPv6']" PORT_80), "::");
	teardown(&f);
}

static void test_no_address_twice_until_none_is_left(void **state)
{
	struct fixture f;

	setup(&f, SMALL);
	assert_string_equal(give(&f, "a", "", PORT_80), "203.0.113.0");
	assert_string_equal(give(&f, "b", "", PORT_80), "203.0.113.1");
	assert_string_equal(give(&f, "c", "", PORT_80), "203.0.113.9");
	assert_string_equal(give(&f, "d", "", PORT_80), "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressesExhausted);
	release(&f, "default/b", "203.0.113.1");
	assert_string_equal(give(&f, "d", "", PORT_80), "203.0.113.1");
	teardown(&f);
}

static void test_what_it_has_it_keeps(void **state)
{
	struct fixture f;

	setup(&f, SMALL);
	assert_string_equal(give_held(&f, "a", "", PORT_80, "203.0.113.9"), "203.0.113.9");
	/* Also what has left its pool, and what is of no pool that is for it. */
	parse(&f, "{'pools':[{'name':'b','addresses':['198.51.100.0/24']}]}");
	assert_string_equal(give_held(&f, "a", "", PORT_80, "203.0.113.9"), "203.0.113.9");
	assert_string_equal(give(&f, "n", "", PORT_80), "198.51.100.0");
	/* Asking for another gives another; asking for one that it may not have changes nothing. */
	assert_string_equal(give_held(&f, "a", ",'annotations':{'weir.dev/addresses':'198.51.100.77'}",
				      PORT_80, "203.0.113.9"),
			    "198.51.100.77");
	assert_string_equal(give_held(&f, "a", ",'annotations':{'weir.dev/addresses':'192.0.2.1'}", PORT_80,
				      "203.0.113.9"),
			    "203.0.113.9");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressNotAllowed);
	teardown(&f);
}

static void test_an_address_asked_for(void **state)
{
	struct fixture f;

	setup(&f, "{'pools':[{'name':'a','addresses':['203.0.113.0/24'],'automatic':false},"
		  "{'name':'theirs','addresses':['198.51.100.0/24'],'namespaces':['shop']}]}");
	assert_string_equal(give(&f, "a", "", PORT_80), "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_NoPool);
	assert_string_equal(give(&f, "a", ",'annotations':{'weir.dev/pool':'a'}", PORT_80), "203.0.113.0");
	assert_string_equal(give(&f, "b", "", ",'loadBalancerIP':'203.0.113.7'" PORT_80), "203.0.113.7");
	assert_string_equal(give(&f, "c", "", ",'loadBalancerIP':'203.0.113.7'" PORT_80), "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressInUse);
	/* Of a pool that is for others. */
	assert_string_equal(give(&f, "c", "", ",'loadBalancerIP':'198.51.100.7'" PORT_80), "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressNotAllowed);
	assert_string_equal(give(&f, "c", ",'annotations':{'weir.dev/pool':'theirs'}", PORT_80), "-");
	teardown(&f);
}

static void test_selectors(void **state)
{
	struct fixture f;

	setup(&f, "{'pools':[{'name':'a','addresses':['203.0.113.0/24'],'namespaces':['shop','default'],"
		  "'labels':{'tier':'web','x':''}}]}");
	assert_string_equal(give(&f, "a", "", PORT_80), "-");
	assert_string_equal(give(&f, "a", ",'labels':{'tier':'db','x':''}", PORT_80), "-");
	assert_string_equal(give(&f, "a", ",'labels':{'tier':'web','x':''}", PORT_80), "203.0.113.0");
	teardown(&f);
}

static void test_dual_stack(void **state)
{
	struct fixture f;

	setup(&f, "{'pools':[{'name':'a','addresses':['203.0.113.0/24','2001:db8::1']}]}");
	assert_string_equal(give(&f, "a", "", ",'ipFamilies':['IPv6','IPv4']" PORT_80),
			    "2001:db8::1 203.0.113.0");
	/* IPv6 is exhausted: one family will do where both are preferred, and not where both are required. */
	assert_string_equal(
		give(&f, "b", "", ",'ipFamilyPolicy':'PreferDualStack','ipFamilies':['IPv4','IPv6']" PORT_80),
		"203.0.113.1");
	assert_int_equal(f.notes.n, 0);
	assert_string_equal(give(&f, "c", "",
				 ",'ipFamilyPolicy':'RequireDualStack','ipFamilies':['IPv4','IPv6']" PORT_80),
			    "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressesExhausted);
	assert_null(
		lb_kube_ledger_holder(f.ledger, &(struct lb_address){ LB_FAMILY_V4, { 203, 0, 113, 2 } }));
	teardown(&f);
}

#define SHARE   ",'annotations':{'weir.dev/share':'k'}"
#define PORT_53 ",'ports':[{'port':53,'protocol':'UDP'}]"

static void test_sharing(void **state)
{
	struct fixture f;

	setup(&f, SMALL);
	assert_string_equal(give(&f, "a", SHARE, PORT_80), "203.0.113.0");
	assert_string_equal(give(&f, "b", SHARE, PORT_53), "203.0.113.0");
	/* A port clash, another key, no key: an address of its own. */
	assert_string_equal(give(&f, "c", SHARE, PORT_80), "203.0.113.1");
	assert_string_equal(give(&f, "d", ",'annotations':{'weir.dev/share':'other'}",
				 ",'loadBalancerIP':'203.0.113.0'"
				 ",'ports':[{'port':99,'protocol':'TCP'}]"),
			    "-");
	assert_int_equal(note(&f), LB_KUBE_REASON_AddressInUse);
	assert_string_equal(
		give(&f, "e", "", ",'loadBalancerIP':'203.0.113.0','ports':[{'port':99,'protocol':'TCP'}]"),
		"-");
	/* One goes, the other stays. */
	release(&f, "default/a", "203.0.113.0");
	assert_string_equal(give(&f, "f", "", ",'loadBalancerIP':'203.0.113.0'" PORT_80), "-");
	release(&f, "default/b", "203.0.113.0");
	assert_string_equal(give(&f, "f", "", ",'loadBalancerIP':'203.0.113.0'" PORT_80), "203.0.113.0");
	assert_string_equal(f.lost, "");
	teardown(&f);
}

/* Two leaders gave one address twice: whatever is seen first, the older Service has it. */
static void test_of_two_claims_the_older_one_holds(void **state)
{
	for (int order = 0; order < 2; order++) {
		struct lb_address address = { LB_FAMILY_V4, { 203, 0, 113, 1 } };
		struct lb_kube_service *old = service_of("old", "", PORT_80, ""), *young;
		struct fixture f;

		young = service_of("young", "", PORT_80, "");
		strcpy(young->meta.created, "2026-01-01T00:00:01Z");
		setup(&f, SMALL);
		if (order == 0) {
			assert_int_equal(lb_kube_ledger_claim(f.ledger, "default/old", old, "", &address), 0);
			assert_int_equal(lb_kube_ledger_claim(f.ledger, "default/young", young, "", &address),
					 -EADDRINUSE);
			assert_string_equal(f.lost, "");
		} else {
			assert_int_equal(lb_kube_ledger_claim(f.ledger, "default/young", young, "", &address),
					 0);
			assert_int_equal(lb_kube_ledger_claim(f.ledger, "default/old", old, "", &address), 0);
			assert_string_equal(f.lost, "default/young;");
		}
		assert_string_equal(lb_kube_ledger_holder(f.ledger, &address), "default/old");
		lb_kube_service_free(old);
		lb_kube_service_free(young);
		teardown(&f);
	}
}

static void refused(const char *pools)
{
	struct lb_kube_pools ret = {};
	struct lb_error error = {};
	char *text = strdup(pools);

	for (char *at = text; *at; at++)
		if (*at == '\'')
			*at = '"';
	if (lb_kube_pools_parse(text, &ret, &error) != -EINVAL)
		fail_msg("taken: %s", text);
	assert_true(error.text[0]);
	free(text);
}

static void test_what_is_no_pool(void **state)
{
	refused("");
	refused("[]");
	refused("{}");
	refused("{'pools':{}}");
	refused("{'pools':[],'pool':1}");
	refused("{'pools':[{'addresses':['203.0.113.1']}]}");
	refused("{'pools':[{'name':'a'}]}");
	refused("{'pools':[{'name':'a','addresses':[]}]}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.1/24']}]}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.9-203.0.113.1']}]}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.9-::1']}]}");
	refused("{'pools':[{'name':'a','addresses':['x']}]}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.1'],'namespace':'b'}]}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.1']},{'name':'a','addresses':['203.0.113.2']}]"
		"}");
	refused("{'pools':[{'name':'a','addresses':['203.0.113.1'],'labels':{'a':3}}]}");
	refused("{'pools':[],'pools':[]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_and_prefixes),
		cmocka_unit_test(test_no_address_twice_until_none_is_left),
		cmocka_unit_test(test_what_it_has_it_keeps),
		cmocka_unit_test(test_an_address_asked_for),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_dual_stack),
		cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_of_two_claims_the_older_one_holds),
		cmocka_unit_test(test_what_is_no_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
