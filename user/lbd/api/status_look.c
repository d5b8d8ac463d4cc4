// SPDX-License-Identifier: GPL-2.0-only
/*
 * See status_look.h. Nothing is kept between two services but what is in the structure: the loop turns there,
 * and services may come and go.
 */
#include "lbd/api/status_look.h"

#include <string.h>

#include "lbd/api/rings.h"
#include "lbd/kernel/host_addresses.h"
#include "lbd/kernel/nexthops.h"

#define BACKENDS_AT_ONCE 256u

#define UNRESOLVED_TOLD 20u /* backends named one by one */
#define NARROW_TOLD     5u
#define EMPTY_TOLD      5u
#define IPV6_MTU_LEAST  1280u

/* Counts one more; whether it is to be told. */
static bool is_told(struct status_look *look, enum status_list list, size_t most)
{
	if (++look->all[list] > most)
		return false;
	look->told[list]++;
	return true;
}

/* A backend that is this host, which does not have the service's address: it would send the packets on,
 * perhaps back here. A prefix may be there by a local route. */
static void look_local(struct lbd *lbd, const struct lb_service_view *view, struct json *list)
{
	char vip[LB_PREFIX_TEXT_MAX];
	bool local = false;

	for (size_t i = 0; i < view->n_backends; i++)
		local |= view->backends[i].nexthop.local && !view->backends[i].leaving;
	if (local && host_lacks_address(lbd, &view->config->vip))
		json_format(list, NULL,
			    "a backend of %s is this host, which does not have %s: put it on loopback "
			    "(ip address add %s dev lo)",
			    view->name, lb_prefix_text(&view->config->vip, vip), vip);
}

/* Backends that get no packets because nobody knows the way, and why; leaving ones with their old flows too.
 */
static void look_unresolved(struct lbd *lbd, struct status_look *look, const struct lb_service_view *view,
			    struct json *list)
{
	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];
		char address[LB_ADDRESS_TEXT_MAX];
		struct lb_nexthop_state nexthop;

		if (backend->nexthop.resolved || backend->leaving ||
		    !is_told(look, STATUS_UNRESOLVED, UNRESOLVED_TOLD))
			continue;
		json_format(list, NULL, "%s/%s (%s) is unreachable: %s", view->name, backend->name,
			    lb_address_text(&backend->address, address),
			    nexthops_why(lbd, view, backend, &nexthop));
	}
}

/* Ways to backends that are too narrow for packets which every IPv6 link must carry (RFC 8200 section 5):
 * senders do not go below, so what is larger than the way never arrives. */
static void look_narrow(struct lbd *lbd, struct status_look *look, const struct lb_service_view *view,
			struct json *list)
{
	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];
		const struct lb_backend *record =
			&lbd->maps.tables.backends[view->backend_first + backend->index];

		if (record->method == LB_METHOD_NONE || record->method == LB_METHOD_LOCAL ||
		    lb_backend_max_len(record) >= IPV6_MTU_LEAST || backend->leaving ||
		    !is_told(look, STATUS_NARROW, NARROW_TOLD))
			continue;
		json_format(list, NULL,
			    "the way to %s/%s carries packets of %u bytes, IPv6 needs %u: larger ones are "
			    "dropped; its MTU of %u is too small",
			    view->name, backend->name, lb_backend_max_len(record), IPV6_MTU_LEAST,
			    backend->nexthop.mtu);
	}
}

/* A service that takes no new connections, because nobody is eligible. */
static void look_empty(struct status_look *look, const struct lb_service_view *view, struct json *list)
{
	for (size_t i = 0; i < view->n_backends; i++)
		if (view->backends[i].slots_cur > 0)
			return;
	if (is_told(look, STATUS_EMPTY, EMPTY_TOLD))
		json_format(list, NULL,
			    "%s has no backend that is active with a weight above 0: new connections are "
			    "dropped",
			    view->name);
}

/* A ring that stayed larger than its pool is now. Another balancer that starts makes it smaller, and does not
 * agree with this one about who owns a slot. */
static void look_ring_size(struct status_look *look, const struct lb_service_view *view)
{
	__u32 size = lb_config_ring_size(view->config->n_backends);

	if (view->config->ring_size || view->ring_slots == size || look->all[STATUS_RING_SIZES]++)
		return;
	snprintf(look->oversized, sizeof(look->oversized), "%s", view->name);
	look->have = view->ring_slots;
	look->fresh = size;
}

static void look_at(struct lbd *lbd, struct status_look *look, const struct lb_service_view *view,
		    struct json lists[STATUS_LISTS])
{
	if (!view->lead) {
		look->backends += view->n_backends;
		look->unsettled += view->unsettled_slots;
		if (view->unsettled_since_s && (!look->since_s || view->unsettled_since_s < look->since_s))
			look->since_s = view->unsettled_since_s;
		if (lbd->n_unresolved)
			look_unresolved(lbd, look, view, &lists[STATUS_UNRESOLVED]);
	}
	look_empty(look, view, &lists[STATUS_EMPTY]);
	if (!view->config)
		return;
	look_local(lbd, view, &lists[STATUS_LOCAL]);
	if (view->lead)
		return;
	if (view->config->vip.address.family == LB_FAMILY_V6)
		look_narrow(lbd, look, view, &lists[STATUS_NARROW]);
	look_ring_size(look, view);
	uneven_look(&look->uneven, view);
}

/* What was not told one by one. */
static void finish(const struct status_look *look, struct json lists[STATUS_LISTS])
{
	size_t more[STATUS_LISTS];

	for (enum status_list i = 0; i < STATUS_LISTS; i++)
		more[i] = look->all[i] - look->told[i];
	if (more[STATUS_UNRESOLVED])
		json_format(&lists[STATUS_UNRESOLVED], NULL, "%zu more backends are unreachable",
			    more[STATUS_UNRESOLVED]);
	if (more[STATUS_NARROW])
		json_format(&lists[STATUS_NARROW], NULL,
			    "the ways to %zu more backends are too narrow for IPv6", more[STATUS_NARROW]);
	if (more[STATUS_EMPTY])
		json_format(&lists[STATUS_EMPTY], NULL, "%zu more services have no active backend",
			    more[STATUS_EMPTY]);
	if (more[STATUS_RING_SIZES])
		json_format(
			&lists[STATUS_RING_SIZES], NULL,
			"the ring of %s keeps its %u slots, so that no flow moves, but a balancer that "
			"starts now makes it with %u (%zu such services): where several balancers serve the "
			"same services, give ring_size",
			look->oversized, look->have, look->fresh, more[STATUS_RING_SIZES]);
}

/* Also where the configuration has become another one meanwhile, of the same generation. */
static void begin(const struct lbd *lbd, struct status_look *look, struct json lists[STATUS_LISTS])
{
	*look = (struct status_look){ .taken_over = lbd->taken_over };
	for (enum status_list i = 0; i < STATUS_LISTS; i++)
		json_done(&lists[i]);
}

size_t status_look(struct lbd *lbd, struct status_look *look, size_t from, struct json lists[STATUS_LISTS])
{
	size_t n = lb_engine_services(lbd->engine), looked = 0;
	struct lb_service_view view;
	bool known;

	if (from == 0 || look->taken_over != lbd->taken_over) {
		begin(lbd, look, lists);
		from = 0;
	}
	known = rings_known(lbd, &look->rings);
	for (; from < n && looked < BACKENDS_AT_ONCE; from++) {
		if (lb_engine_service(lbd->engine, from, &view) < 0)
			continue;
		look_at(lbd, look, &view, lists);
		if (!known && view.config)
			look->rings += rings_digest(lbd, &view);
		looked += 1 + view.n_backends;
		lb_engine_forget_views(lbd->engine);
	}
	if (from < n)
		return from;
	rings_know(lbd, look->rings);
	finish(look, lists);
	return 0;
}
