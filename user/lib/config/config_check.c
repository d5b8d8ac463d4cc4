// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold between the keys of a configuration: unique names and addresses, services that do not
 * collide, families that the forwarding method can carry, QUIC server IDs, limits. Works on the structure
 * and goes back to the JSON tree only to show where an error is. Look-ups are hashed or sorted: the largest
 * configuration is checked in time that grows as its size does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* uthash must neither exit nor leave a broken table when memory is short: see insert(). */
#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#include <uthash.h>
#include <xxhash.h>

#include "config/config_read.h"

struct check {
	struct lb_reading *reading;
	const struct lb_config *config;
};

/* --- errors ----------------------------------------------------------------------------------------------
 */

/* A place to complain about: services[service].backends[backend].key; SIZE_MAX leaves a part out. */
struct spot {
	size_t service;
	size_t backend;
	const char *key;
};

static const cJSON *child_of(const cJSON *node, const char *key)
{
	const cJSON *child;

	cJSON_ArrayForEach (child, node) {
		if (child->string && strcmp(child->string, key) == 0)
			return child;
	}
	return NULL;
}

/* Records an error at keys list[index].inner[inner_index].key of the root; absent keys: the object's place.
 */
static int fail_in(const struct check *check, const char *list, size_t index, const char *inner,
		   size_t inner_index, const char *key, const char *text)
{
	const cJSON *object = cJSON_GetArrayItem(child_of(check->reading->root, list), (int)index);
	struct lb_place list_place = { .key = list };
	struct lb_place element = { .parent = &list_place, .index = index };
	struct lb_place inner_list = { .parent = &element, .key = inner };
	struct lb_place inner_element = { .parent = &inner_list, .index = inner_index };
	struct lb_place place = { .parent = inner ? &inner_element : &element, .key = key };
	const cJSON *node;

	if (inner)
		object = cJSON_GetArrayItem(child_of(object, inner), (int)inner_index);
	node = key ? child_of(object, key) : object;
	return lb_reading_fail(check->reading, key ? &place : place.parent, node ? node : object,
			       key ? node : NULL, "%s", text);
}

static int fail_at(const struct check *check, struct spot spot, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(const struct check *check, struct spot spot, const char *format, ...)
{
	char text[sizeof(check->reading->error->text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return fail_in(check, "services", spot.service, spot.backend == SIZE_MAX ? NULL : "backends",
		       spot.backend, spot.key, text);
}

#define SERVICE(index, name)        ((struct spot){ (index), SIZE_MAX, (name) })
#define BACKEND(index, inner, name) ((struct spot){ (index), (inner), (name) })

/* --- sets ------------------------------------------------------------------------------------------------
 */

/* A member of a set. Keys are bytes inside the configuration; members lie in one array per set. */
struct member {
	UT_hash_handle hh;
	size_t index;
};

struct set {
	struct member *head;
	struct member *members;
	size_t n_members;
};

static void set_empty(struct set *set)
{
	HASH_CLEAR(hh, set->head);
	set->n_members = 0;
}

static void set_done(struct set *set)
{
	set_empty(set);
	free(set->members);
}

static int set_init(struct set *set, size_t capacity)
{
	set->members = calloc(capacity ? capacity : 1, sizeof(*set->members));
	return set->members ? 0 : -ENOMEM;
}

static const struct member *set_find(const struct set *set, const void *key, size_t size)
{
	struct member *found;

	HASH_FIND(hh, set->head, key, size, found);
	return found;
}

/* 0: added; 1: an equal one is there, *ret_index is its index; -ENOMEM. */
static int set_add(struct set *set, const void *key, size_t size, size_t index, size_t *ret_index)
{
	struct member *member, *found;
	unsigned int hash;

	HASH_VALUE(key, size, hash);
	HASH_FIND_BYHASHVALUE(hh, set->head, key, size, hash, found);
	if (found) {
		*ret_index = found->index;
		return 1;
	}
	member = &set->members[set->n_members++];
	member->index = index;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, set->head, key, size, hash, member);
	return member->hh.tbl ? 0 : -ENOMEM;
}

/* --- interfaces ------------------------------------------------------------------------------------------
 */

static int check_interfaces(const struct check *check)
{
	const struct lb_config_interface *list = check->config->interfaces;

	for (size_t i = 0; i < check->config->n_interfaces; i++) {
		for (size_t j = 0; j < i; j++) {
			char text[128];

			if (strcmp(list[i].name, list[j].name) != 0)
				continue;
			snprintf(text, sizeof(text),
				 "interfaces[%zu] has the same name; give each interface once", j);
			return fail_in(check, "interfaces", i, NULL, 0, "name", text);
		}
	}
	return 0;
}

/* --- one service -----------------------------------------------------------------------------------------
 */

static int check_family(const struct check *check, size_t index, size_t backend_index)
{
	const struct lb_config_service *service = &check->config->services[index];
	const struct lb_config_backend *backend = &service->backends[backend_index];
	__u8 inner = service->vip.address.family, outer = backend->address.family;
	struct spot spot = BACKEND(index, backend_index, "address");

	if (service->forward == LB_FORWARD_L2 && inner != outer)
		return fail_at(
			check, spot,
			"forward \"l2\" does not change packets, so the backend of an IPv%u VIP must have an "
			"IPv%u address; use \"ipip\" or \"gue\" to cross families",
			inner, inner);
	if (service->forward == LB_FORWARD_IPIP && inner == LB_FAMILY_V6 && outer == LB_FAMILY_V4)
		return fail_at(
			check, spot,
			"forward \"ipip\" cannot carry IPv6 in IPv4; give the backend an IPv6 address or use "
			"\"gue\"");
	return 0;
}

/* Names, addresses and server IDs are unique within a service. */
static int check_backends(const struct check *check, size_t index, struct set *names, struct set *addresses,
			  struct set *server_ids)
{
	const struct lb_config_service *service = &check->config->services[index];
	size_t other;
	int r;

	set_empty(names);
	set_empty(addresses);
	set_empty(server_ids);
	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_config_backend *backend = &service->backends[i];

		r = set_add(names, backend->name, strlen(backend->name), i, &other);
		if (r > 0)
			return fail_at(
				check, BACKEND(index, i, "name"),
				"backends[%zu] of this service has the same name; names are unique in a "
				"service",
				other);
		if (r == 0)
			r = set_add(addresses, &backend->address, sizeof(backend->address), i, &other);
		if (r > 0)
			return fail_at(
				check, BACKEND(index, i, "address"),
				"backends[%zu] of this service has the same address; addresses are unique "
				"in a service",
				other);
		if (r == 0 && backend->server_id_bytes)
			r = set_add(server_ids, backend->server_id, sizeof(backend->server_id), i, &other);
		if (r > 0)
			return fail_at(check, BACKEND(index, i, "server_id"),
				       "backends[%zu] of this service has the same server_id; server IDs are "
				       "unique in a service",
				       other);
		if (r == 0)
			r = check_family(check, index, i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The connection ID layouts of a service. */
static int check_quic(const struct check *check, size_t index)
{
	const struct lb_config_service *service = &check->config->services[index];
	const struct lb_config_quic *quic = service->quic;

	if (service->affinity == LB_AFFINITY_QUIC && service->protocol != IPPROTO_UDP)
		return fail_at(
			check, SERVICE(index, "affinity"),
			"affinity \"quic\" needs protocol \"udp\"; use \"flow\" or \"source\" with tcp");
	if (service->n_quic && service->affinity != LB_AFFINITY_QUIC)
		return fail_at(check, SERVICE(index, "quic"),
			       "quic needs affinity \"quic\"; with affinity \"%s\" leave it out",
			       lb_affinity_name(service->affinity));
	if (service->n_quic == 2 && quic[0].rotation == quic[1].rotation)
		return fail_at(check, SERVICE(index, "quic"),
			       "both quic.configs have rotation %u; each configuration needs its own",
			       quic[0].rotation);
	if (service->n_quic == 2 && quic[0].server_id_bytes != quic[1].server_id_bytes)
		return fail_at(
			check, SERVICE(index, "quic"),
			"quic.configs have server_id_bytes %u and %u; they must be the same, because a "
			"backend has one server_id",
			quic[0].server_id_bytes, quic[1].server_id_bytes);
	return 0;
}

static int check_server_ids(const struct check *check, size_t index)
{
	const struct lb_config_service *service = &check->config->services[index];

	for (size_t i = 0; i < service->n_backends; i++) {
		unsigned int bytes = service->backends[i].server_id_bytes;
		struct spot spot = BACKEND(index, i, "server_id");

		if (service->n_quic == 0 && bytes)
			return fail_at(
				check, spot,
				"server_id needs quic.configs in the service; without them leave it out");
		if (service->n_quic && bytes == 0)
			return fail_at(check, spot,
				       "server_id is required, because the service has quic.configs: %u "
				       "hexadecimal digits",
				       2u * service->quic[0].server_id_bytes);
		if (service->n_quic && bytes != service->quic[0].server_id_bytes)
			return fail_at(
				check, spot,
				"server_id must have %u hexadecimal digits, because quic.configs say %u "
				"bytes",
				2u * service->quic[0].server_id_bytes, service->quic[0].server_id_bytes);
	}
	return 0;
}

static int check_each_service(const struct check *check)
{
	_cleanup_(set_done) struct set names = { 0 }, addresses = { 0 }, server_ids = { 0 };
	size_t largest = 0;
	int r;

	for (size_t i = 0; i < check->config->n_services; i++) {
		if (check->config->services[i].n_backends > largest)
			largest = check->config->services[i].n_backends;
	}
	if (set_init(&names, largest) < 0 || set_init(&addresses, largest) < 0 ||
	    set_init(&server_ids, largest) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < check->config->n_services; i++) {
		r = check_quic(check, i);
		if (r == 0)
			r = check_server_ids(check, i);
		if (r == 0)
			r = check_backends(check, i, &names, &addresses, &server_ids);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- services among themselves ---------------------------------------------------------------------------
 */

static int check_service_names(const struct check *check)
{
	_cleanup_(set_done) struct set names = { 0 };
	size_t other;
	int r;

	if (set_init(&names, check->config->n_services) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < check->config->n_services; i++) {
		const char *name = check->config->services[i].name;

		r = set_add(&names, name, strlen(name), i, &other);
		if (r > 0)
			return fail_at(check, SERVICE(i, "name"),
				       "services[%zu] has the same name; names of services are unique",
				       other);
		if (r < 0)
			return r;
	}
	return 0;
}

/* By VIP and protocol, then by first port, the wider range first, then by place in the file. */
static int compare_keys(const void *left, const void *right)
{
	const struct lb_config_service *a = *(const struct lb_config_service *const *)left;
	const struct lb_config_service *b = *(const struct lb_config_service *const *)right;
	int r = memcmp(&a->vip, &b->vip, sizeof(a->vip));

	if (r)
		return r;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->port_first != b->port_first)
		return a->port_first < b->port_first ? -1 : 1;
	if (a->port_last != b->port_last)
		return a->port_last > b->port_last ? -1 : 1;
	return a < b ? -1 : 1;
}

static bool same_group(const struct lb_config_service *a, const struct lb_config_service *b)
{
	return memcmp(&a->vip, &b->vip, sizeof(a->vip)) == 0 && a->protocol == b->protocol;
}

/* Two services that want the same packets; complains about the later one in the file. */
static int collision(const struct check *check, const struct lb_config_service *a,
		     const struct lb_config_service *b)
{
	const struct lb_config_service *earlier = a < b ? a : b, *later = a < b ? b : a;
	size_t index = (size_t)(later - check->config->services);
	size_t other = (size_t)(earlier - check->config->services);

	if (a->port_first == b->port_first && a->port_last == b->port_last)
		return fail_at(
			check, SERVICE(index, "vip"),
			"services[%zu] \"%s\" has the same vip, protocol and port; one of them must differ",
			other, earlier->name);
	return fail_at(
		check, SERVICE(index, "port"),
		"ports %u-%u overlap ports %u-%u of services[%zu] \"%s\" with the same vip and protocol; "
		"ranges may lie one in the other or apart",
		later->port_first, later->port_last, earlier->port_first, earlier->port_last, other,
		earlier->name);
}

/* Walks the services in order of their first port, with the ranges that are open on a stack. */
static int check_service_keys(const struct check *check)
{
	_cleanup_(freep) const struct lb_config_service **list = NULL, **open = NULL;
	size_t n = check->config->n_services, n_open = 0;

	list = calloc(n + 1, sizeof(*list));
	open = calloc(n + 1, sizeof(*open));
	if (!list || !open)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = &check->config->services[i];
	qsort(list, n, sizeof(*list), compare_keys);
	for (size_t i = 0; i < n; i++) {
		const struct lb_config_service *service = list[i];

		if (i > 0 && !same_group(service, list[i - 1]))
			n_open = 0;
		while (n_open && open[n_open - 1]->port_last < service->port_first)
			n_open--;
		if (n_open && (service->port_last > open[n_open - 1]->port_last ||
			       (service->port_first == open[n_open - 1]->port_first &&
				service->port_last == open[n_open - 1]->port_last)))
			return collision(check, open[n_open - 1], service);
		open[n_open++] = service;
	}
	return 0;
}

/* --- backends that are VIPs ------------------------------------------------------------------------------
 */

/* The VIPs of all services, and the prefix lengths that occur, the longest first. */
struct vips {
	struct set set;
	bool has_length[2][129]; /* [IPv6][length] */
	__u8 length[2][129];
	unsigned int n_lengths[2];
};

static int collect_vips(const struct check *check, struct vips *vips)
{
	size_t other;

	if (set_init(&vips->set, check->config->n_services) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < check->config->n_services; i++) {
		const struct lb_prefix *vip = &check->config->services[i].vip;

		vips->has_length[vip->address.family == LB_FAMILY_V6][vip->length] = true;
		if (set_add(&vips->set, vip, sizeof(*vip), i, &other) < 0)
			return -ENOMEM;
	}
	for (unsigned int six = 0; six < 2; six++) {
		for (unsigned int length = 128; length > 0; length--) {
			if (vips->has_length[six][length])
				vips->length[six][vips->n_lengths[six]++] = (__u8)length;
		}
	}
	return 0;
}

/* The member that holds an address, the most specific one; NULL if none does. */
static const struct member *find_vip(const struct vips *vips, const struct lb_address *address)
{
	struct lb_prefix prefix = { .address = *address };
	bool six = address->family == LB_FAMILY_V6;

	for (unsigned int i = 0; i < vips->n_lengths[six]; i++) {
		const struct member *member;

		prefix.length = vips->length[six][i];
		lb_address_mask(&prefix.address, prefix.length);
		member = set_find(&vips->set, &prefix, sizeof(prefix));
		if (member)
			return member;
	}
	return NULL;
}

static int fail_vip(const struct check *check, size_t index, size_t backend, const struct member *member)
{
	const struct lb_config_service *service = &check->config->services[member->index];
	bool single = service->vip.length == (service->vip.address.family == LB_FAMILY_V6 ? 128 : 32);
	char text[LB_PREFIX_TEXT_MAX];

	if (single)
		return fail_at(
			check, BACKEND(index, backend, "address"),
			"the address is the vip of services[%zu] \"%s\", packets would come back; give an "
			"address of the backend's own",
			member->index, service->name);
	return fail_at(
		check, BACKEND(index, backend, "address"),
		"the address lies in the vip %s of services[%zu] \"%s\", packets would come back; give an "
		"address outside it",
		lb_prefix_text(&service->vip, text), member->index, service->name);
}

static void vips_done(struct vips *vips)
{
	set_done(&vips->set);
}

static int check_vips(const struct check *check)
{
	_cleanup_(vips_done) struct vips vips = { 0 };

	if (collect_vips(check, &vips) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < check->config->n_services; i++) {
		const struct lb_config_service *service = &check->config->services[i];

		for (size_t j = 0; j < service->n_backends; j++) {
			const struct member *member = find_vip(&vips, &service->backends[j].address);

			if (member)
				return fail_vip(check, i, j, member);
		}
	}
	return 0;
}

/* --- limits ----------------------------------------------------------------------------------------------
 */

static int fail_limit(const struct check *check, const char *key, __u64 limit, __u64 need, const char *what)
{
	const cJSON *limits = child_of(check->reading->root, "limits");
	struct lb_place parent = { .key = "limits" };
	struct lb_place place = { .parent = &parent, .key = key };
	const cJSON *node = child_of(limits, key);

	return lb_reading_fail(
		check->reading, &place, node, node,
		"%s is %llu, but the services here need %llu %s; give at least that many, or 0", key, limit,
		need, what);
}

static int check_limits(const struct check *check)
{
	const struct lb_config_limits *limits = &check->config->limits;
	struct lb_config_needs needs = lb_config_needs(check->config);

	if (limits->services && limits->services < check->config->n_services)
		return fail_limit(check, "services", limits->services, check->config->n_services, "services");
	if (limits->backends && limits->backends < needs.backends)
		return fail_limit(check, "backends", limits->backends, needs.backends, "backends");
	if (limits->ring_slots && limits->ring_slots < needs.slots)
		return fail_limit(check, "ring_slots", limits->ring_slots, needs.slots, "slots");
	return 0;
}

static int check_sources(const struct check *check)
{
	const struct lb_config_source *sources = check->config->sources;

	for (size_t i = 0; i < check->config->n_sources; i++) {
		for (size_t j = 0; j < i; j++) {
			bool same_name = strcmp(sources[i].name, sources[j].name) == 0;
			if (same_name || sources[i].uid == sources[j].uid)
				return fail_in(check, "sources", i, NULL, 0, same_name ? "name" : "uid",
					       "another source has the same; names and uids are unique");
		}
	}
	return 0;
}

int lb_config_check(struct lb_reading *reading, const struct lb_config *config)
{
	static int (*const checks[])(const struct check *check) = {
		check_interfaces, check_service_names, check_service_keys, check_each_service,
		check_vips,       check_limits,        check_sources,
	};
	struct check check = { .reading = reading, .config = config };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(checks[0]); i++)
		r = checks[i](&check);
	if (r == 0)
		r = lb_config_check_rings(reading, config);
	if (r == 0)
		r = lb_config_check_ranges(reading, config);
	if (r == 0)
		r = lb_config_check_announce(reading, config);
	return r < 0 ? r : lb_config_check_health(reading, config);
}
