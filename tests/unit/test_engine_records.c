// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a bank of the VIP table says of a service: flags, masks and ports of its entry, and the records beside
 * it that speak for packets without ports and find backends by QUIC server id.
 */
#include "engine_fixture.h"

#include <arpa/inet.h>

static const struct lb_vip *find(struct fixture *f, const char *address, __u8 protocol, __u16 port)
{
	__u64 active = f->tables.control->active;
	struct lb_address parsed = fixture_address(address);

	return lb_vip_resolve(f->tables.control->hash_seed,
			      &f->tables.vips[(size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS],
			      LB_ACTIVE_LOG2(active), &f->tables.banks[LB_ACTIVE_BANK(active)], &parsed,
			      protocol, port);
}

/* The record of an address and protocol, or NULL. */
static const struct lb_vip *find_key(struct fixture *f, const __u64 key[3])
{
	__u64 active = f->tables.control->active;
	const struct lb_vip *bank = &f->tables.vips[(size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS];
	__u32 bucket = lb_vip_lookup(f->tables.control->hash_seed, bank, LB_ACTIVE_LOG2(active), key);

	return bucket == LB_VIP_NOWHERE ? NULL : &bank[bucket];
}

static const struct lb_vip *find_address(struct fixture *f, const char *address, __u8 protocol)
{
	struct lb_address parsed = fixture_address(address);
	__u64 key[3];

	lb_vip_address_key(&parsed, protocol, key);
	return find_key(f, key);
}

static void test_vip_fields(void **state)
{
	struct fixture f;
	struct lb_config *config = NULL;
	struct lb_config_service *service;
	const struct lb_vip *vip;

	(void)state;
	fixture_init(&f);
	config = fixture_config(&f);
	assert_int_equal(lb_prefix_parse("172.16.0.0/16", &config->tunnel_source_v4), 0);
	service = fixture_service(config, "gue", "2001:db8::10", 443);
	service->forward = LB_FORWARD_GUE;
	service->gue_port = 6080;
	service->affinity = LB_AFFINITY_SOURCE;
	service->echo = true;
	service->fragments = LB_FRAGMENTS_DROP;
	fixture_backend(service, "g0", "10.0.0.1", 1);
	fixture_service(config, "l2", "203.0.113.10", 443)->forward = LB_FORWARD_L2;
	service = fixture_service(config, "range", "198.51.100.0/24", 1000);
	service->port_last = 1999;
	fixture_apply(&f, config);
	assert_true(f.tables.control->active & LB_ACTIVE_WILDCARD);
	assert_false(f.tables.control->active & LB_ACTIVE_FILTERED); /* one is of a prefix */
	vip = find(&f, "2001:db8::10", IPPROTO_TCP, 443);
	assert_int_equal(vip->flags, LB_VIP_USED | LB_VIP_SOURCE | LB_VIP_ECHO | LB_VIP_FRAG_DROP);
	assert_int_equal(vip->gue_port, htons(6080));
	assert_int_equal(vip->source_mask_v4, htonl(0xffff));
	assert_int_equal(vip->source_mask_v6, 0);
	assert_int_equal(f.tables.backends[vip->backend_first].method, LB_METHOD_GUE_V4);
	vip = find(&f, "203.0.113.10", IPPROTO_TCP, 443);
	assert_int_equal(vip->source_mask_v4, 0);
	assert_int_equal(vip->backend_count, 0);
	for (__u32 s = 0; s < 64; s++)
		assert_int_equal(f.tables.rings[lb_vip_ring_line(vip)].slot[s],
				 lb_slot_make(LB_INDEX_NONE, LB_INDEX_NONE, 0));
	for (__u32 port = 990; port < 2010; port++)
		assert_int_equal(find(&f, "198.51.100.77", IPPROTO_TCP, (__u16)port) != NULL,
				 port >= 1000 && port <= 1999);
	fixture_done(&f);
}

/* Records for packets without ports, and for QUIC connection IDs. */
static struct lb_config *record_config(struct fixture *f, bool drained, bool drop)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	service->echo = true;
	fixture_backend(service, "b0", "10.0.0.1", drained ? 0 : 100);
	service = fixture_service(config, "web2", "203.0.113.10", 81);
	service->fragments = drop ? LB_FRAGMENTS_DROP : LB_FRAGMENTS_PASS;
	service = fixture_service(config, "dns", "203.0.113.10", 53);
	service->protocol = IPPROTO_UDP;
	service->affinity = LB_AFFINITY_SOURCE;
	fixture_backend(service, "d0", "10.0.0.9", 100);
	service = fixture_service(config, "quic", "2001:db8::10", 443);
	service->protocol = IPPROTO_UDP;
	service->affinity = LB_AFFINITY_QUIC;
	service->n_quic = 2;
	service->quic[0] = (struct lb_config_quic){ 1, 4 };
	service->quic[1] = (struct lb_config_quic){ 2, 4 };
	for (int i = 0; i < 3; i++) {
		char name[16], address[32];
		struct lb_config_backend *backend;

		snprintf(name, sizeof(name), "q%d", i);
		snprintf(address, sizeof(address), "10.0.1.%d", i);
		backend = fixture_backend(service, name, address, 100);
		backend->server_id_bytes = 4;
		backend->server_id[3] = (__u8)(i + 1);
	}
	return config;
}

static void test_records(void **state)
{
	struct fixture f;
	struct lb_config *config;
	const struct lb_vip *record, *vip;
	__u64 key[3] = { 0, 0, 0 };
	__u32 line;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, record_config(&f, false, false));
	assert_int_equal(find_address(&f, "203.0.113.10", IPPROTO_ICMP)->flags, LB_VIP_USED | LB_VIP_ECHO);
	assert_int_equal(find_address(&f, "203.0.113.10", IPPROTO_TCP)->flags, LB_VIP_USED);
	assert_null(find_address(&f, "2001:db8::10", IPPROTO_ICMPV6));
	assert_null(find_address(&f, "203.0.113.11", IPPROTO_TCP));
	record = find_address(&f, "203.0.113.10", IPPROTO_UDP);
	vip = find(&f, "203.0.113.10", IPPROTO_UDP, 53);
	assert_int_equal(record->flags, LB_VIP_USED | LB_VIP_SOURCE);
	assert_int_equal(lb_vip_ring_line(record), lb_vip_ring_line(vip));
	assert_int_equal(record->ring_mask, vip->ring_mask);
	/* A record follows its service. */
	line = lb_vip_ring_line(vip);
	config = record_config(&f, false, false);
	config->services[2].backends[0].state = LB_STATE_DRAIN;
	fixture_apply(&f, config);
	vip = find(&f, "203.0.113.10", IPPROTO_UDP, 53);
	assert_int_not_equal(lb_vip_ring_line(vip), line);
	assert_int_equal(lb_vip_ring_line(find_address(&f, "203.0.113.10", IPPROTO_UDP)),
			 lb_vip_ring_line(vip));
	assert_true(fixture_is_empty(&f, config));
	/* Nobody is left to answer for; one service drops fragments. */
	fixture_apply(&f, record_config(&f, true, true));
	assert_null(find_address(&f, "203.0.113.10", IPPROTO_ICMP));
	assert_int_equal(find_address(&f, "203.0.113.10", IPPROTO_TCP)->flags,
			 LB_VIP_USED | LB_VIP_FRAG_DROP);
	/* QUIC server ids, under both configurations. */
	vip = find(&f, "2001:db8::10", IPPROTO_UDP, 443);
	assert_int_equal(vip->quic[0], LB_QUIC(1, 4));
	key[2] = lb_vip_tail_word(0, IPPROTO_UDP, 0, LB_VIP_BITS_QUIC, 0);
	for (int i = 0; i < 3; i++) {
		__u8 id[8] = { 0, 0, 0, (__u8)(i + 1) };

		memcpy(&key[1], id, sizeof(id));
		for (__u32 rotation = 0; rotation < 4; rotation++) {
			key[0] = lb_quic_key_0(vip->service, rotation);
			record = find_key(&f, key);
			assert_int_equal(record != NULL, rotation == 1 || rotation == 2);
			if (record)
				assert_int_equal(record->backend_count, i);
		}
	}
	/* One that leaves is still found, until it has gone. */
	config = record_config(&f, true, true);
	config->services[3].n_backends = 2;
	fixture_apply(&f, config);
	key[0] = lb_quic_key_0(vip->service, 1);
	record = find_key(&f, key);
	assert_non_null(record);
	assert_int_equal(record->backend_count, 2);
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, config));
	fixture_done(&f);
}

/* A later fragment may be a packet of any service that its address has, those of its prefixes as well. */
static void test_record_under_prefix(void **state)
{
	struct lb_config_service *service;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = record_config(&f, false, false);
	service = fixture_service(config, "other", "203.0.114.0/24", 1000);
	service->protocol = IPPROTO_UDP;
	service = fixture_service(config, "tcp", "203.0.113.0/24", 1000);
	fixture_apply(&f, config);
	assert_int_equal(find_address(&f, "203.0.113.10", IPPROTO_UDP)->flags, LB_VIP_USED | LB_VIP_SOURCE);
	service = fixture_service(config = record_config(&f, false, false), "all", "203.0.113.0/24", 1000);
	service->protocol = IPPROTO_UDP;
	fixture_apply(&f, config);
	assert_int_equal(find_address(&f, "203.0.113.10", IPPROTO_UDP)->flags, LB_VIP_USED);
	fixture_done(&f);
}

/* The echo record of a prefix: -1: none, else whether it answers. */
static int echo_record(struct fixture *f, const char *text, __u8 protocol)
{
	struct lb_prefix prefix;
	const struct lb_vip *record;
	__u64 key[3];

	assert_int_equal(lb_prefix_parse(text, &prefix), 0);
	lb_vip_prefix_key(&prefix, protocol, key);
	record = find_key(f, key);
	return record ? record->flags == (LB_VIP_USED | LB_VIP_ECHO) : -1;
}

static struct lb_config *echo_config(struct fixture *f, bool wide, bool inner)
{
	struct lb_config *config = fixture_config(f);
	const char *vips[] = { "203.0.112.0/22", "203.0.113.0/24",  "203.0.113.64/26", "203.0.113.70",
			       "203.0.113.71",   "198.51.100.0/24", "2001:db8::/32",   "2001:db8::7" };
	const bool echo[] = { wide, false, inner, false, true, false, wide, false };

	for (size_t i = 0; i < sizeof(vips) / sizeof(vips[0]); i++) {
		struct lb_config_service *service;
		char name[16];

		snprintf(name, sizeof(name), "s%zu", i);
		service = fixture_service(config, name, vips[i], 80);
		service->echo = echo[i];
		fixture_backend(service, "b0", "10.0.0.1", 1);
	}
	return config;
}

/* Echo for prefixes: records only where somebody is answered for, and beneath that for those who are not. */
static void test_echo_records(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, echo_config(&f, true, true));
	assert_int_equal(echo_record(&f, "203.0.112.0/22", IPPROTO_ICMP), 1);
	assert_int_equal(echo_record(&f, "203.0.113.0/24", IPPROTO_ICMP), 0);
	assert_int_equal(echo_record(&f, "203.0.113.64/26", IPPROTO_ICMP), 1);
	assert_int_equal(echo_record(&f, "203.0.113.70", IPPROTO_ICMP), 0);
	assert_int_equal(echo_record(&f, "203.0.113.71", IPPROTO_ICMP), -1);
	assert_int_equal(find_address(&f, "203.0.113.71", IPPROTO_ICMP)->flags, LB_VIP_USED | LB_VIP_ECHO);
	assert_null(find_address(&f, "203.0.113.70", IPPROTO_ICMP));
	assert_int_equal(echo_record(&f, "198.51.100.0/24", IPPROTO_ICMP), -1);
	assert_int_equal(echo_record(&f, "2001:db8::/32", IPPROTO_ICMPV6), 1);
	assert_int_equal(echo_record(&f, "2001:db8::7", IPPROTO_ICMPV6), 0);
	/* They follow what changes. */
	fixture_apply(&f, echo_config(&f, false, true));
	assert_int_equal(echo_record(&f, "203.0.112.0/22", IPPROTO_ICMP), -1);
	assert_int_equal(echo_record(&f, "203.0.113.0/24", IPPROTO_ICMP), -1);
	assert_int_equal(echo_record(&f, "203.0.113.64/26", IPPROTO_ICMP), 1);
	assert_int_equal(echo_record(&f, "203.0.113.70", IPPROTO_ICMP), 0);
	assert_int_equal(echo_record(&f, "2001:db8::7", IPPROTO_ICMPV6), -1);
	config = echo_config(&f, false, true);
	config->services[2].backends[0].state = LB_STATE_DRAIN;
	fixture_apply(&f, config);
	assert_int_equal(echo_record(&f, "203.0.113.64/26", IPPROTO_ICMP), -1);
	assert_int_equal(echo_record(&f, "203.0.113.70", IPPROTO_ICMP), -1);
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, config));
	fixture_done(&f);
}

/* --- packets that no service takes ------------------------------------------------------------------------
 */

static __u32 host_record_flags(struct fixture *f, const char *address)
{
	const struct lb_vip *record = find_address(f, address, IPPROTO_ICMP);

	return record ? record->flags & ~LB_VIP_USED : 0;
}

static bool is_in_filter(struct fixture *f, const char *text)
{
	struct lb_prefix prefix;
	__u64 key[3];
	__u32 bit;

	assert_int_equal(lb_prefix_parse(text, &prefix), 0);
	lb_vip_prefix_key(&prefix, IPPROTO_ICMP, key);
	bit = lb_vip_filter_bit(key[0], key[1]);
	return f->tables.filters[LB_ACTIVE_BANK(f->tables.control->active)].bits[bit / 8] >> bit % 8 & 1;
}

static struct lb_config *unclaimed_config(struct fixture *f, enum lb_unclaimed top, enum lb_unclaimed tcp,
					  enum lb_unclaimed udp)
{
	struct lb_config *config = fixture_config(f);

	config->unclaimed = top;
	fixture_service(config, "tcp", "203.0.113.10", 80)->unclaimed = tcp;
	config->services[0].echo = false;
	fixture_service(config, "udp", "203.0.113.10", 53)->unclaimed = udp;
	config->services[1].echo = false;
	return config;
}

/* The top speaks for services that do not; of two of one VIP pass counts before reject, and reject before
 * drop. */
static void test_unclaimed(void **state)
{
	const enum lb_unclaimed no = LB_UNCLAIMED_NOT_GIVEN, pass = LB_UNCLAIMED_PASS,
				drop = LB_UNCLAIMED_DROP, reject = LB_UNCLAIMED_REJECT;
	const struct {
		enum lb_unclaimed top, tcp, udp;
		__u32 flags;
	} cases[] = {
		{ no, no, no, LB_VIP_UNCLAIMED_DROP },
		{ pass, no, no, 0 },
		{ drop, no, no, LB_VIP_UNCLAIMED_DROP },
		{ reject, no, no, LB_VIP_UNCLAIMED_REJECT },
		{ reject, drop, drop, LB_VIP_UNCLAIMED_DROP },
		{ reject, drop, no, LB_VIP_UNCLAIMED_REJECT },
		{ drop, pass, no, 0 },
		{ no, reject, pass, 0 },
		{ pass, drop, no, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;

		fixture_init(&f);
		fixture_apply(&f, unclaimed_config(&f, cases[i].top, cases[i].tcp, cases[i].udp));
		assert_int_equal(host_record_flags(&f, "203.0.113.10"), cases[i].flags);
		assert_int_equal(is_in_filter(&f, "203.0.113.10"), cases[i].flags != 0);
		assert_false(is_in_filter(&f, "203.0.113.11"));
		assert_int_equal(fixture_restart(&f), 0);
		fixture_done(&f);
	}
}

/* Services of all ports or ranges of whole addresses: the filter knows the addresses, and packets are told
 * that it does, also by an agent that found the tables. */
static void test_filter_knows_wildcards(void **state)
{
	const __u64 both = LB_ACTIVE_WILDCARD | LB_ACTIVE_FILTERED;
	struct lb_config_backend *backend;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = fixture_config(&f);
	backend = fixture_backend(fixture_service(config, "exact", "203.0.113.10", 80), "a", "10.0.0.1", 1);
	fixture_service(config, "range", "203.0.113.11", 1000)->port_last = 1999;
	fixture_service(config, "range6", "2001:db8::11", 1000)->port_last = 1999;
	fixture_apply(&f, config);
	assert_int_equal(f.tables.control->active & LB_ACTIVE_SHAPES, both);
	assert_true(is_in_filter(&f, "203.0.113.11"));
	assert_true(is_in_filter(&f, "2001:db8::11"));
	assert_false(is_in_filter(&f, "203.0.113.12"));

	/* What changes no key of the VIP table keeps what is known of it. */
	backend->weight = 2;
	fixture_apply(&f, config);
	assert_int_equal(f.tables.control->active & LB_ACTIVE_SHAPES, both);
	assert_int_equal(fixture_restart(&f), 0);
	backend->weight = 3;
	fixture_apply(&f, config);
	assert_int_equal(f.tables.control->active & LB_ACTIVE_SHAPES, both);
	assert_true(is_in_filter(&f, "203.0.113.11"));
	fixture_done(&f);
}

/* Where nothing is said, what the host has the address of is passed: seen as soon as it has it. */
static void test_unclaimed_by_address(void **state)
{
	const struct lb_address own = fixture_address("203.0.113.10");
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.host_addresses = &own;
	config = unclaimed_config(&f, LB_UNCLAIMED_NOT_GIVEN, LB_UNCLAIMED_NOT_GIVEN, LB_UNCLAIMED_NOT_GIVEN);
	fixture_service(config, "around", "203.0.113.0/24", 80)->echo = false;
	fixture_apply(&f, config);
	assert_int_equal(host_record_flags(&f, "203.0.113.10"), LB_VIP_UNCLAIMED_DROP);
	assert_true(is_in_filter(&f, "203.0.113.0/24"));
	assert_true(fixture_is_empty(&f, config));
	f.n_host_addresses = 1;
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	assert_int_equal(host_record_flags(&f, "203.0.113.10"), 0);
	assert_false(is_in_filter(&f, "203.0.113.10"));
	assert_true(is_in_filter(&f, "203.0.113.0/24")); /* where a service is all the same */
	assert_true(fixture_is_empty(&f, config));
	f.n_host_addresses = 0;
	fixture_apply(&f, config);
	assert_int_equal(host_record_flags(&f, "203.0.113.10"), LB_VIP_UNCLAIMED_DROP);
	fixture_done(&f);
}

static struct lb_config *prefix_config(struct fixture *f, bool more)
{
	struct lb_config *config = fixture_config(f);

	config->unclaimed = LB_UNCLAIMED_DROP;
	fixture_service(config, "prefix", "203.0.113.0/24", 80);
	fixture_service(config, "exact", "203.0.113.10", 443);
	if (more)
		fixture_service(config, "more", "203.0.113.11", 80);
	return config;
}

/* Of a prefix, the one address that the host has is passed, but for services of that very address. */
static void test_address_of_the_host_under_a_prefix(void **state)
{
	const struct lb_address own[] = { fixture_address("203.0.113.10"), fixture_address("203.0.113.20") };
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.host_addresses = own;
	config = prefix_config(&f, false);
	fixture_apply(&f, config);
	assert_non_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	f.n_host_addresses = 2;
	f.n_held = 1; /* the second is on loopback */
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	assert_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	assert_non_null(find(&f, "203.0.113.10", IPPROTO_TCP, 443));
	assert_non_null(find(&f, "203.0.113.20", IPPROTO_TCP, 80));
	assert_non_null(find(&f, "203.0.113.11", IPPROTO_TCP, 80));
	assert_true(fixture_is_empty(&f, config));
	/* Another change does not lose it, nor does another agent, who finds that nothing is to be done. */
	config = prefix_config(&f, true);
	fixture_apply(&f, config);
	assert_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, config));
	assert_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	/* It went while no agent ran. */
	assert_int_equal(fixture_restart(&f), 0);
	f.n_held = 0;
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	assert_non_null(find(&f, "203.0.113.10", IPPROTO_TCP, 80));
	fixture_done(&f);
}

/* What has no room for them does without: no change is refused because of the host's addresses. */
static void test_no_room_for_addresses_of_the_host(void **state)
{
	const struct lb_address own = fixture_address("203.0.113.10");
	struct lb_config *config;
	struct fixture f;
	char name[32], vip[LB_PREFIX_TEXT_MAX];

	(void)state;
	fixture_init(&f);
	f.host_addresses = &own;
	f.n_host_addresses = f.n_held = 1;
	config = fixture_config(&f);
	for (__u8 bits = 1; bits <= LB_SHAPES_MAX; bits++) {
		struct lb_prefix prefix = { own, bits };

		lb_address_mask(&prefix.address, bits);
		snprintf(name, sizeof(name), "p%u", bits);
		fixture_service(config, name, lb_prefix_text(&prefix, vip), 80);
	}
	fixture_apply(&f, config);
	assert_non_null(find(&f, "203.0.113.11", IPPROTO_TCP, 80));
	fixture_done(&f);
}

/* A filter that is not what it should be, as after tables of a version that had none, is made good. */
static void test_filter_is_made_good(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = unclaimed_config(&f, LB_UNCLAIMED_DROP, LB_UNCLAIMED_NOT_GIVEN, LB_UNCLAIMED_NOT_GIVEN);
	fixture_apply(&f, config);
	memset(f.tables.filters, 0, LB_BANKS * sizeof(*f.tables.filters));
	assert_int_equal(fixture_restart(&f), 0);
	fixture_apply(&f, config);
	assert_true(is_in_filter(&f, "203.0.113.10"));
	fixture_done(&f);
}

/* What the bank says of the sources of service web: 0, or the length that lets an address in. */
static int let_in(struct fixture *f, const char *address, __u8 bits)
{
	const struct lb_vip *vip = find(f, "203.0.113.10", IPPROTO_TCP, 80);
	struct lb_prefix prefix = { fixture_address(address), bits };
	__u64 key[3];

	assert_true(vip->flags & LB_VIP_RANGES);
	lb_address_mask(&prefix.address, bits);
	lb_vip_range_key(vip->service, &prefix, key);
	return find_key(f, key) != NULL;
}

static struct lb_config *ranges_config(struct fixture *f, const char *first, const char *second)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	fixture_backend(service, "b0", "10.0.0.1", 100);
	if (first)
		fixture_range(service, first);
	if (second)
		fixture_range(service, second);
	fixture_backend(fixture_service(config, "open", "203.0.113.10", 81), "b0", "10.0.0.1", 100);
	return config;
}

/* They change with their generation, and are found again by the next agent. */
static void test_source_ranges(void **state)
{
	const struct lb_vip *list;
	struct fixture f;
	__u64 key[3] = { 0 };

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, ranges_config(&f, "10.0.0.0/8", "192.0.2.0/24"));
	assert_true(let_in(&f, "10.1.2.3", 8));
	assert_true(let_in(&f, "192.0.2.9", 24));
	assert_false(let_in(&f, "192.0.3.9", 24));
	assert_int_equal(find(&f, "203.0.113.10", IPPROTO_TCP, 81)->flags & LB_VIP_RANGES, 0);
	key[2] = lb_vip_range_tail(find(&f, "203.0.113.10", IPPROTO_TCP, 80)->service, LB_FAMILY_V4, 0);
	list = find_key(&f, key);
	assert_non_null(list);
	assert_int_equal(list->range_bits[0], 8);
	assert_int_equal(list->range_bits[1], 24);
	assert_int_equal(list->range_bits[2], 0);
	assert_true(fixture_is_empty(&f, ranges_config(&f, "10.0.0.0/8", "192.0.2.0/24")));
	/* Only the ranges change: it is another generation all the same. */
	fixture_apply(&f, ranges_config(&f, "10.0.0.0/8", "192.0.3.0/24"));
	assert_true(let_in(&f, "192.0.3.9", 24));
	assert_false(let_in(&f, "192.0.2.9", 24));
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, ranges_config(&f, "10.0.0.0/8", "192.0.3.0/24")));
	assert_false(fixture_is_empty(&f, ranges_config(&f, "10.0.0.0/8", "192.0.4.0/24")));
	fixture_apply(&f, ranges_config(&f, "10.0.0.0/8", "0.0.0.0/0"));
	assert_int_equal(find(&f, "203.0.113.10", IPPROTO_TCP, 80)->flags & LB_VIP_RANGES, 0);
	assert_null(find_key(&f, key));
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_records),
		cmocka_unit_test(test_unclaimed),
		cmocka_unit_test(test_unclaimed_by_address),
		cmocka_unit_test(test_address_of_the_host_under_a_prefix),
		cmocka_unit_test(test_no_room_for_addresses_of_the_host),
		cmocka_unit_test(test_filter_is_made_good),
		cmocka_unit_test(test_filter_knows_wildcards),
		cmocka_unit_test(test_vip_fields),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_record_under_prefix),
		cmocka_unit_test(test_source_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
