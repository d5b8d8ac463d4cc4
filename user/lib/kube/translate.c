// SPDX-License-Identifier: GPL-2.0-only
/*
 * One part after the other: which Nodes, with what weight and state, and the JSON of it. Names and texts that
 * go into JSON are of letters that need no escape there.
 */
#include "kube/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/schema.h"
#include "kube/endpoints.h"

#define WEIGHT     100u /* of a Node, or of an endpoint where they count */
#define WEIGHT_MAX 65535u

void lb_kube_part_name(const struct lb_kube_service *service, const struct lb_kube_port *port, __u8 family,
		       struct lb_kube_short *ret_name)
{
	char name[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX + 32];

	/* Namespaces and Services have no dots in their names: no two parts have the same. */
	snprintf(name, sizeof(name), "%s.%s.%u.%s.%s", service->meta.namespace, service->meta.name,
		 port->port, port->protocol == IPPROTO_UDP ? "udp" : "tcp",
		 family == LB_FAMILY_V6 ? "v6" : "v4");
	lb_kube_shorten(name, ret_name);
}

__u32 lb_kube_ring_size(const struct lb_kube_node *const *nodes, size_t n)
{
	size_t members = 0;

	for (size_t i = 0; i < n; i++)
		members += !nodes[i]->excluded;
	return lb_config_ring_size(members ? members : 1);
}

/* --- backends --------------------------------------------------------------------------------------------
 */

struct backend {
	const struct lb_kube_node *node;
	const struct lb_address *address;
	__u32 weight;
	enum lb_kube_proof proof;
	bool drain;
};

/* A part that is being made. */
struct making {
	const struct lb_kube_view *view;
	const struct lb_kube_service *service;
	const struct lb_kube_port *port;
	const struct lb_address *vip;
	struct lb_kube_usable usable;
	struct backend *backends; /* as many as there are nodes, at most */
	size_t n;
	bool edge; /* one of them balances itself */
	struct lb_kube_notes *notes;
};

static bool takes_part(const struct making *making, size_t at)
{
	if (making->view->nodes[at]->excluded || !making->usable.endpoints)
		return false;
	return !making->service->local || making->usable.by_node[at];
}

/* Endpoints count where they have to be the node's own: those that the slices say and the node itself has
 * heard of, so that one more counts from when the node knows it, and one less at once. */
static __u32 weight_of(const struct making *making, size_t at, __u32 shown)
{
	__u32 endpoints = making->usable.by_node[at];

	if (!making->service->local)
		return WEIGHT;
	if (shown && shown < endpoints)
		endpoints = shown;
	return endpoints > WEIGHT_MAX / WEIGHT ? WEIGHT_MAX : endpoints * WEIGHT;
}

/* What a node's proxy says of a Service says nothing where endpoints terminate everywhere: it counts the
 * others. */
static struct lb_kube_shown ask(const struct making *making, size_t at)
{
	const struct lb_kube_view *view = making->view;
	const struct lb_kube_question question = {
		.service = making->service,
		.port = making->port,
		.vip = making->vip,
		.node = view->nodes[at],
		.endpoints = making->usable.by_node[at],
	};

	if (!view->ask || view->wish->check == LB_KUBE_CHECK_NONE)
		return (struct lb_kube_shown){ .proof = LB_KUBE_PROVEN };
	if (making->service->local && making->usable.last_resort)
		return (struct lb_kube_shown){ .proof = LB_KUBE_PROVEN };
	/* cppcheck-suppress returnDanglingLifetime ; numbers, no pointers, are returned */
	return view->ask(view->context, &question);
}

static void choose_nodes(struct making *making)
{
	const struct lb_kube_view *view = making->view;
	bool without_address = false;

	for (size_t i = 0; i < view->n_nodes; i++) {
		const struct lb_kube_node *node = view->nodes[i];
		const struct lb_address *address = &node->addresses[making->vip->family == LB_FAMILY_V6];
		struct lb_kube_shown shown;

		if (!takes_part(making, i))
			continue;
		without_address |= !address->family;
		if (!address->family)
			continue;
		shown = ask(making, i);
		making->backends[making->n++] = (struct backend){
			.node = node,
			.address = address,
			.weight = weight_of(making, i, shown.endpoints),
			.proof = shown.proof,
			.drain = node->leaving,
		};
	}
	if (!making->n && without_address)
		lb_kube_note(making->notes, LB_KUBE_REASON_NoNodeAddress,
			     "no node with endpoints has an InternalIP of the family of %s",
			     making->vip->family == LB_FAMILY_V6 ? "IPv6" : "IPv4");
}

/*
 * Nodes that have not shown anything yet are left out. Those that fail drain; but if none is left that does
 * not, all of them fail for one reason, which is more often ours than theirs: they go on.
 */
static void judge_nodes(struct making *making)
{
	size_t kept = 0, good = 0;

	for (size_t i = 0; i < making->n; i++)
		good += making->backends[i].proof == LB_KUBE_PROVEN && !making->backends[i].drain;
	for (size_t i = 0; i < making->n; i++) {
		struct backend *backend = &making->backends[i];

		if (backend->proof == LB_KUBE_UNPROVEN)
			continue;
		backend->drain |= backend->proof == LB_KUBE_FAILED && good > 0;
		making->edge |= backend->node->edge;
		making->backends[kept++] = *backend;
	}
	making->n = kept;
}

/* --- JSON ------------------------------------------------------------------------------------------------
 */

/* A node that balances itself would balance a rewritten frame again. */
static enum lb_forward forward_of(struct making *making)
{
	enum lb_forward forward = making->view->wish->forward;

	if (forward != LB_FORWARD_L2 || !making->edge)
		return forward;
	lb_kube_note(making->notes, LB_KUBE_REASON_ForwardByTunnel,
		     "forward is l2, but nodes that balance themselves are among the backends: "
		     "ipip is used for all");
	return LB_FORWARD_IPIP;
}

static void print_backend(const struct backend *backend, bool first, FILE *out)
{
	char address[LB_ADDRESS_TEXT_MAX];
	struct lb_kube_short name;

	lb_kube_shorten(backend->node->meta.name, &name);
	fprintf(out, "%s{\"name\":\"%s\",\"address\":\"%s\",\"weight\":%u", first ? "" : ",", name.text,
		lb_address_text(backend->address, address), backend->weight);
	fprintf(out, "%s}", backend->drain ? ",\"state\":\"drain\"" : "");
}

/* Whether everybody of a family is let in: a prefix of length 0 says so, and no range at all. */
static bool is_open(const struct lb_kube_service *service, __u8 family)
{
	for (size_t i = 0; i < service->n_source_ranges; i++)
		if (!service->source_ranges[i].length && service->source_ranges[i].address.family == family)
			return true;
	return !service->n_source_ranges;
}

/* Ranges of the other family alone let nobody of this one in: they become one that no sender has. */
static void print_ranges(struct making *making, FILE *out)
{
	const struct lb_kube_service *service = making->service;
	__u8 family = making->vip->family;
	char text[LB_PREFIX_TEXT_MAX];
	size_t n = 0;

	if (is_open(service, family))
		return;
	fputs(",\"source_ranges\":[", out);
	for (size_t i = 0; i < service->n_source_ranges; i++) {
		const struct lb_prefix *range = &service->source_ranges[i];

		if (range->address.family != family)
			continue;
		fprintf(out, "%s{\"prefix\":\"%s\"}", n++ ? "," : "", lb_prefix_text(range, text));
	}
	if (!n) {
		fprintf(out, "{\"prefix\":\"%s\"}", family == LB_FAMILY_V6 ? "::" : "0.0.0.0");
		lb_kube_note(making->notes, LB_KUBE_REASON_NoSourceOfFamily,
			     "no range of loadBalancerSourceRanges is of IPv%u: nobody of it is let in",
			     family);
	}
	fputs("]", out);
}

static const char *announce_name(enum lb_announce_by announce)
{
	const struct lb_schema_choice *choice = lb_schema_announce_by;

	while (choice->name && choice->value != (int)announce)
		choice++;
	return choice->name ? choice->name : "none";
}

static void print_part(struct making *making, const struct lb_kube_part *part, FILE *out)
{
	const struct lb_kube_wish *wish = making->view->wish;
	char vip[LB_ADDRESS_TEXT_MAX];

	fprintf(out, "{\"name\":\"%s\",\"vip\":\"%s\",\"protocol\":\"%s\",\"port\":%u", part->name.text,
		lb_address_text(making->vip, vip), making->port->protocol == IPPROTO_UDP ? "udp" : "tcp",
		making->port->port);
	fprintf(out, ",\"forward\":\"%s\",\"algorithm\":\"%s\",\"ring_size\":%u,\"affinity\":\"%s\"",
		lb_forward_name(forward_of(making)), lb_algorithm_name(wish->algorithm), wish->ring_size,
		lb_affinity_name(making->service->client_ip ? LB_AFFINITY_SOURCE : LB_AFFINITY_FLOW));
	if (wish->idle_timeout_s)
		fprintf(out, ",\"idle_timeout_s\":%u", wish->idle_timeout_s);
	print_ranges(making, out);
	fprintf(out, ",\"announce\":\"%s\",\"on_empty\":\"withdraw\",\"backends\":[",
		announce_name(wish->announce));
	for (size_t i = 0; i < making->n; i++)
		print_backend(&making->backends[i], i == 0, out);
	fputs("]}", out);
}

static int print(struct making *making, struct lb_kube_part *part)
{
	size_t length;
	FILE *out = open_memstream(&part->json, &length);

	if (!out)
		return -ENOMEM;
	print_part(making, part, out);
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

/* --- all of them -----------------------------------------------------------------------------------------
 */

static int make_part(struct making *making, struct lb_kube_part *part)
{
	const struct lb_kube_view *view = making->view;
	int r = lb_kube_count_usable(view->group, making->port, making->vip->family, view->nodes,
				     view->n_nodes, &making->usable);

	if (r < 0)
		return r;
	making->backends = calloc(view->n_nodes + 1, sizeof(*making->backends));
	if (making->backends) {
		choose_nodes(making);
		judge_nodes(making);
		lb_kube_part_name(making->service, making->port, making->vip->family, &part->name);
		for (size_t i = 0; i < making->n; i++)
			part->backends += !making->backends[i].drain;
		r = print(making, part);
	}
	free(making->usable.by_node);
	return making->backends ? r : -ENOMEM;
}

static bool is_served(const struct lb_kube_view *view, __u8 family)
{
	for (size_t i = 0; i < view->group->service->n_families; i++)
		if (view->group->service->families[i] == family)
			return true;
	return false;
}

static int make_parts(const struct lb_kube_view *view, const struct lb_address *vip,
		      struct lb_kube_parts *parts, struct lb_kube_notes *notes)
{
	const struct lb_kube_service *service = view->group->service;

	for (size_t i = 0; i < service->n_ports; i++) {
		struct making making = {
			.view = view,
			.service = service,
			.port = &service->ports[i],
			.vip = vip,
			.notes = notes,
		};
		int r;

		if (!making.port->protocol || !making.port->port) {
			lb_kube_note(notes, LB_KUBE_REASON_ProtocolNotBalanced,
				     "port %u is neither TCP nor UDP: it is not served", making.port->port);
			continue;
		}
		r = make_part(&making, &parts->all[parts->n++]);
		free(making.backends);
		if (r < 0)
			return r;
	}
	return 0;
}

int lb_kube_translate(const struct lb_kube_view *view, struct lb_kube_parts *ret_parts,
		      struct lb_kube_notes *notes)
{
	const struct lb_kube_service *service = view->group->service;
	struct lb_kube_parts parts = {};
	int r = 0;

	if (service->client_ip)
		lb_kube_note(notes, LB_KUBE_REASON_SessionTimeoutIgnored,
			     "sessionAffinity ClientIP is by hash of the source: a client keeps its node "
			     "while the nodes are the same, and timeoutSeconds has no part in it");
	parts.all = calloc(view->n_addresses * service->n_ports + 1, sizeof(*parts.all));
	if (!parts.all)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_addresses && r == 0; i++)
		if (is_served(view, view->addresses[i].family))
			r = make_parts(view, &view->addresses[i], &parts, notes);
	if (r < 0)
		lb_kube_parts_done(&parts);
	else
		*ret_parts = parts;
	return r;
}

void lb_kube_parts_done(struct lb_kube_parts *parts)
{
	for (size_t i = 0; i < parts->n; i++)
		free(parts->all[i].json);
	free(parts->all);
	memset(parts, 0, sizeof(*parts));
}
