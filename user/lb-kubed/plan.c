// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changed is looked at at once, for addresses; and planned for 20 ms after the first change, with all
 * else that changed until then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define DEBOUNCE_MS 20
#define BUSY_MS     5     /* of planning in one turn of the loop */
#define UNPROVEN_MS 10000 /* without any node that knows a Service, until that is an Event */

/* --- queues ------------------------------------------------------------------------------------------------
 */

void plan_wanted(struct kubed *kubed, struct serving *serving, __u64 now)
{
	if (serving->wants_plan)
		return;
	serving->wants_plan = true;
	serving->next_plan = NULL;
	*kubed->plans.last = serving;
	kubed->plans.last = &serving->next_plan;
	if (!kubed->plan_due_ms)
		kubed->plan_due_ms = now + DEBOUNCE_MS;
}

static struct serving *take(struct kubed *kubed)
{
	struct serving *serving = kubed->plans.first;

	if (!serving)
		return NULL;
	kubed->plans.first = serving->next_plan;
	if (!kubed->plans.first)
		kubed->plans.last = &kubed->plans.first;
	serving->wants_plan = false;
	return serving;
}

/* --- what a Service is to us -------------------------------------------------------------------------------
 */

bool plan_serves(const struct kubed *kubed, const struct lb_kube_service *service)
{
	return service && !kubed->options.give_back && !service->meta.deleting &&
	       lb_kube_is_ours(service, &kubed->options.defaults);
}

/* The record of an address is the Service's status, once our finalizer is on it; an address of ours comes
 * from elsewhere too where a status has been restored. */
static bool counts(const struct kubed *kubed, const struct lb_kube_service *service,
		   const struct lb_kube_ingress *ingress)
{
	return lb_kube_has_finalizer(service) || lb_kube_pools_contain(&kubed->pools, &ingress->address);
}

static bool has(const struct lb_address *list, size_t n, const struct lb_address *address)
{
	for (size_t i = 0; i < n; i++)
		if (lb_address_equal(&list[i], address))
			return true;
	return false;
}

static bool has_family(const struct lb_address *list, size_t n, __u8 family)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == family)
			return true;
	return false;
}

/* Addresses that it has, by its status, and that are no older Service's. */
static size_t claim_all(struct kubed *kubed, struct serving *serving, struct lb_address *ret_addresses)
{
	const struct lb_kube_service *service = serving->group->service;
	const char *share = lb_kube_pair_value(&service->annotations, LB_KUBE_PREFIX "share");
	size_t n = 0;

	for (size_t i = 0; i < service->n_ingress; i++) {
		const struct lb_kube_ingress *ingress = &service->ingress[i];

		if (has_family(ret_addresses, n, ingress->address.family) || !counts(kubed, service, ingress))
			continue;
		if (lb_kube_ledger_claim(kubed->ledger, serving->group->key, service, share ? share : "",
					 &ingress->address) == 0)
			ret_addresses[n++] = ingress->address;
	}
	return n;
}

static void claim(struct kubed *kubed, struct serving *serving)
{
	struct lb_address addresses[LB_KUBE_FAMILIES];
	bool served = plan_serves(kubed, serving->group->service);
	size_t n = served ? claim_all(kubed, serving, addresses) : 0;

	for (size_t i = 0; i < serving->n_addresses; i++)
		if (!has(addresses, n, &serving->addresses[i]) &&
		    !has(serving->reserved, serving->n_reserved, &serving->addresses[i]))
			lb_kube_ledger_release(kubed->ledger, serving->group->key, &serving->addresses[i]);
	memcpy(serving->addresses, addresses, n * sizeof(*addresses));
	serving->n_addresses = n;
	if (!served)
		lead_forget(kubed, serving);
}

/* --- looking -----------------------------------------------------------------------------------------------
 */

static void forget(struct kubed *kubed, struct serving *serving)
{
	for (size_t i = 0; i < serving->n_parts; i++)
		agent_delete(kubed, serving->parts[i].text, !serving->group->unsure);
	lead_forget(kubed, serving);
	serving->group->mine = NULL;
	free(serving->parts);
	free(serving->seen);
	free(serving->awaited);
	free(serving);
}

/* A Service that says itself that it is not to be served, also where an earlier one of us has put it there.
 */
static void delete_parts(struct kubed *kubed, const struct lb_kube_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		for (size_t k = 0; k < service->n_families; k++) {
			struct lb_kube_short name;

			lb_kube_part_name(service, &service->ports[i], service->families[k], &name);
			agent_delete(kubed, name.text, true);
		}
}

/* Services of others are nothing to us, unless they were ours. */
static bool concerns(const struct kubed *kubed, const struct lb_kube_service *service)
{
	return service && (plan_serves(kubed, service) || lb_kube_has_finalizer(service));
}

static void look_at(struct kubed *kubed, struct lb_kube_group *group, __u64 now)
{
	struct serving *serving = group->mine;

	if (!serving && concerns(kubed, group->service)) {
		serving = calloc(1, sizeof(*serving));
		group->mine = serving;
		if (serving)
			serving->group = group;
	}
	if (!serving) {
		lb_kube_store_settle(kubed->store, group);
		return;
	}
	claim(kubed, serving);
	/* Before the leader takes our finalizer off: afterwards it is gone. */
	if (group->service && !plan_serves(kubed, group->service))
		delete_parts(kubed, group->service);
	lead(kubed, serving, now);
	plan_wanted(kubed, serving, now);
}

void plan_look(struct kubed *kubed, __u64 now)
{
	struct lb_kube_group *group;

	/* Pools first: an address that is in none of them may still be one that was given. */
	if (!kubed->have_pools)
		return;
	proof_look(kubed);
	while ((group = lb_kube_store_changed(kubed->store)))
		look_at(kubed, group, now);
}

/* --- planning ----------------------------------------------------------------------------------------------
 */

struct asking_nodes {
	struct kubed *kubed;
	const struct serving *serving;
	bool pending, unproven, proven; /* some node is */
	bool waits;                     /* for some node's proof */
};

static struct lb_kube_shown ask_node(void *context, const struct lb_kube_question *question)
{
	struct asking_nodes *asking = context;
	struct lb_kube_shown shown =
		probes_ask(asking->kubed, asking->serving->group->key, question, &asking->pending);

	if (!proof_given(asking->kubed, asking->serving, question, &asking->pending)) {
		asking->waits = true;
		shown.proof = LB_KUBE_UNPROVEN;
	}
	asking->unproven |= shown.proof == LB_KUBE_UNPROVEN;
	asking->proven |= shown.proof != LB_KUBE_UNPROVEN;
	return shown;
}

/* No node takes its flows, as none knows it: that is soon over, or somebody has to know. */
static void note_waiting(struct serving *serving, const struct asking_nodes *asking,
			 struct lb_kube_notes *notes)
{
	__u64 now = now_ms();

	serving->waits_for_proof = asking->waits;
	if (!asking->waits || asking->proven)
		serving->waiting_ms = 0;
	else if (!serving->waiting_ms)
		serving->waiting_ms = now;
	else if (now - serving->waiting_ms >= UNPROVEN_MS)
		lb_kube_note(notes, LB_KUBE_REASON_NoProof,
			     "no node has shown that its service proxy knows the address: can this node "
			     "reach the others' node ports?");
}

/* What lbd has of a Service stays as it is, whether we have put it there or an earlier one of us. True: there
 * is something. */
static bool keep_as_it_is(struct kubed *kubed, struct serving *serving)
{
	const struct lb_kube_service *service = serving->group->service;
	bool any = serving->n_parts > 0;

	for (size_t i = 0; i < service->n_ports; i++)
		for (size_t k = 0; k < service->n_families; k++) {
			struct lb_kube_short name;

			lb_kube_part_name(service, &service->ports[i], service->families[k], &name);
			agent_keep(kubed, name.text);
			any |= agent_has(kubed, name.text);
		}
	return any;
}

/* Whether what is seen may be less than what there is. Every Service with a selector has a slice, if an empty
 * one, and there are always Nodes. */
static bool is_unsure(struct kubed *kubed, const struct lb_kube_group *group)
{
	size_t n_nodes;

	lb_kube_store_nodes(kubed->store, &n_nodes);
	return group->unsure || (group->service && (!group->n_slices || !n_nodes));
}

/* Services that it had and has no more go; the others are sent where they changed. */
static void put_parts(struct kubed *kubed, struct serving *serving, struct lb_kube_parts *parts)
{
	struct lb_kube_short *names = calloc(parts->n + 1, sizeof(*names));
	bool unsure = is_unsure(kubed, serving->group);

	if (!names)
		return;
	for (size_t i = 0; i < parts->n; i++) {
		names[i] = parts->all[i].name;
		agent_put(kubed, names[i].text, serving->group->key, parts->all[i].json, !unsure);
		parts->all[i].json = NULL;
	}
	for (size_t i = 0; i < serving->n_parts; i++) {
		bool still = false;

		for (size_t k = 0; k < parts->n; k++)
			still |= strcmp(serving->parts[i].text, names[k].text) == 0;
		if (!still)
			agent_delete(kubed, serving->parts[i].text, !unsure || serving->group->service);
	}
	free(serving->parts);
	serving->parts = names;
	serving->n_parts = parts->n;
	serving->planned = true;
}

void plan_sent(struct kubed *kubed, const char *key)
{
	struct lb_kube_group *group = lb_kube_store_find(kubed->store, key);
	const struct serving *serving = group ? group->mine : NULL;

	if (!serving)
		return;
	for (size_t i = 0; i < serving->n_parts; i++)
		if (agent_holds(kubed, serving->parts[i].text))
			return;
	/* What is lost from here on is lost by what is seen. */
	group->unsure = false;
}

static void translate(struct kubed *kubed, struct serving *serving, const struct lb_kube_wish *wish,
		      struct lb_kube_notes *notes)
{
	struct asking_nodes asking = { .kubed = kubed, .serving = serving };
	struct lb_kube_parts parts = {};
	bool untried;
	struct lb_kube_view view = {
		.group = serving->group,
		.wish = wish,
		.addresses = serving->addresses,
		.n_addresses = serving->n_addresses,
		.ask = ask_node,
		.context = &asking,
	};

	view.nodes = lb_kube_store_nodes(kubed->store, &view.n_nodes);
	if (proof_see(kubed, serving) < 0 || lb_kube_translate(&view, &parts, notes) < 0) {
		say("out of memory service=%s", serving->group->key);
		return;
	}
	note_waiting(serving, &asking, notes);
	/* After a start nobody has shown anything yet: what an earlier one of us made goes on until all have
	 * answered, and one has said yes. */
	untried = asking.pending || (asking.unproven && !asking.proven);
	if (!untried || serving->planned || !keep_as_it_is(kubed, serving))
		put_parts(kubed, serving, &parts);
	lb_kube_parts_done(&parts);
}

static void plan(struct kubed *kubed, struct serving *serving, __u64 now)
{
	struct lb_kube_group *group = serving->group;
	struct lb_kube_notes notes = {};
	struct lb_kube_parts none = {};
	struct lb_kube_wish wish;
	struct lb_error error;

	kubed->counts.plans++;
	if (!plan_serves(kubed, group->service)) {
		put_parts(kubed, serving, &none);
		if (!concerns(kubed, group->service) && !serving->write) {
			forget(kubed, serving);
			lb_kube_store_settle(kubed->store, group);
		}
		return;
	}
	if (lb_kube_wish_parse(group->service, &kubed->options.defaults, &wish, &error) < 0) {
		lb_kube_note(&notes, LB_KUBE_REASON_BadAnnotation, "%.350s", error.text);
		keep_as_it_is(kubed, serving);
	} else if (wish.ring_size) {
		translate(kubed, serving, &wish, &notes);
	} else {
		keep_as_it_is(kubed, serving);
	}
	tell(kubed, serving, &notes, now);
}

static __u64 elapsed_since(__u64 begin)
{
	return now_ms() - begin;
}

__u64 plan_turn(struct kubed *kubed, __u64 now)
{
	struct serving *serving;

	if (!resources_listed(kubed) || !agent_known(kubed))
		return ~0ull;
	if (kubed->plan_due_ms > now)
		return kubed->plan_due_ms;
	while (elapsed_since(now) < BUSY_MS && (serving = take(kubed)))
		plan(kubed, serving, now);
	if (kubed->plans.first)
		return now;
	kubed->plan_due_ms = 0;
	if (!kubed->swept) {
		kubed->swept = true;
		agent_sweep(kubed);
		say("all Services have been planned for event=synced");
	}
	return ~0ull;
}

static void forget_all(void *context, struct lb_kube_group *group)
{
	struct serving *serving = group->mine;

	if (!serving)
		return;
	http_abandon(serving->write);
	free(serving->parts);
	free(serving->seen);
	free(serving->awaited);
	free(serving);
	group->mine = NULL;
}

void plan_stop(struct kubed *kubed)
{
	lb_kube_store_each(kubed->store, forget_all, kubed);
}
