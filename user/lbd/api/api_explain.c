// SPDX-License-Identifier: GPL-2.0-only
/*
 * POST /v1/explain: every step from packet to verdict, in words and values.
 */
#include "lbd/api/api.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/api/body.h"
#include "lbd/capture/explain.h"
#include "lb/reasons.h"
#include "lb/slot.h"
#include "lbd/stats/stats.h"
#include "lbd/kernel/interfaces.h"

/* --- the question ----------------------------------------------------------------------------------------
 */

/* "198.51.100.7:40000" or "[2001:db8::1]:40000". */
static int parse_end(const cJSON *body, const char *key, struct lb_address *ret_address, __u16 *ret_port,
		     struct lb_error *error)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, key));
	char host[LB_ADDRESS_TEXT_MAX + 8], *port, *name = host, *end;
	unsigned long number;

	if (text && strlen(text) < sizeof(host)) {
		snprintf(host, sizeof(host), "%s", text);
		port = strrchr(host, ':');
		if (port && port != host) {
			*port++ = '\0';
			if (name[0] == '[' && name[strlen(name) - 1] == ']') {
				name[strlen(name) - 1] = '\0';
				name++;
			}
			number = strtoul(port, &end, 10);
			if (*port >= '0' && *port <= '9' && !*end && number <= 65535 &&
			    lb_address_parse(name, ret_address) == 0) {
				*ret_port = number;
				return 0;
			}
		}
	}
	return lb_error_at(
		error, EINVAL, key, text,
		"%s must be an address and a port: \"198.51.100.7:40000\" or \"[2001:db8::1]:40000\"", key);
}

static int parse_question(const struct http_request *request, struct explain_question *question,
			  struct lb_error *error)
{
	static const char *const keys[] = { "protocol", "source", "destination", "syn", NULL };
	_cleanup_(cjson_freep) cJSON *body = NULL;
	const char *protocol;
	const cJSON *syn;
	int r = body_read(request->body, request->length, keys, &body, error);

	if (r < 0)
		return r;
	protocol = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "protocol"));
	syn = cJSON_GetObjectItemCaseSensitive(body, "syn");
	if (!protocol || (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0))
		return lb_error_at(error, EINVAL, "protocol", protocol,
				   "protocol must be \"tcp\" or \"udp\"");
	if (syn && !cJSON_IsBool(syn))
		return lb_error_at(error, EINVAL, "syn", NULL, "syn must be true or false");
	question->protocol = protocol[0] == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	question->syn = cJSON_IsTrue(syn);
	r = parse_end(body, "source", &question->source, &question->source_port, error);
	if (r == 0)
		r = parse_end(body, "destination", &question->destination, &question->destination_port,
			      error);
	if (r == 0 && question->source.family != question->destination.family)
		r = lb_error_at(error, EINVAL, "destination", NULL,
				"source and destination must be of one family");
	return r;
}

/* --- the answer ------------------------------------------------------------------------------------------
 */

/* The decision, and what its numbers are called. */
struct told {
	const struct lbd *lbd;
	const struct lb_decision *decision;
	struct lb_service_view service;   /* name NULL: none */
	const struct lb_backend *backend; /* NULL: none */
};

static bool decided(const struct told *told, __u32 what)
{
	return told->decision->decided & what;
}

static void find_names(struct lbd *lbd, const struct lb_decision *decision, struct told *told)
{
	const struct lb_tables *tables = &lbd->maps.tables;

	*told = (struct told){ .lbd = lbd, .decision = decision };
	if (decision->service >= tables->sizes.services ||
	    lb_engine_service_by_name(lbd->engine, tables->service_meta[decision->service].name,
				      &told->service) < 0)
		return;
	if (decided(told, LB_DECIDED_INDEX) && decision->index != LB_INDEX_NONE)
		told->backend = &tables->backends[told->service.backend_first + decision->index];
}

static const char *backend_name(const struct told *told, __u32 index)
{
	for (size_t i = 0; i < told->service.n_backends; i++)
		if (told->service.backends[i].index == index)
			return told->service.backends[i].name;
	return NULL;
}

static const char *index_text(const struct told *told, __u32 index)
{
	const char *name = backend_name(told, index);

	return index == LB_INDEX_NONE ? "no backend" : name ? name : "a backend that is gone";
}

/* The flow has an entry, but its backend is dead. */
static bool is_void(const struct told *told)
{
	return decided(told, LB_DECIDED_FLOW) && told->decision->how != LB_HOW_KNOWN;
}

static void step(struct json *json, const char *name)
{
	json_object(json, NULL);
	json_string(json, "step", name);
}

static void write_parse(struct json *json, const struct explain_question *question, __u32 bytes)
{
	char source[LB_ADDRESS_TEXT_MAX], destination[LB_ADDRESS_TEXT_MAX];

	step(json, "parse");
	json_format(json, "text", "%s%s from %s port %u to %s port %u, %u bytes",
		    question->protocol == IPPROTO_TCP ? "TCP" : "UDP",
		    question->protocol == IPPROTO_UDP ? ""
		    : question->syn                   ? " SYN"
						      : " ACK",
		    lb_address_text(&question->source, source), question->source_port,
		    lb_address_text(&question->destination, destination), question->destination_port, bytes);
	json_u64(json, "bytes", bytes);
	json_object_end(json);
}

static bool left_to_host(__u32 reason)
{
	return reason != LB_DROP_UNCLAIMED && reason != LB_REPLY_UNCLAIMED;
}

static void write_service(struct json *json, const struct told *told)
{
	step(json, "service");
	if (!told->service.name) {
		json_format(json, "text", "no service has this address, protocol and port: %s",
			    left_to_host(told->decision->reason)
				    ? "the host gets the packet"
				    : "unclaimed says of the VIP what becomes of the packet");
	} else {
		json_format(json, "text", "service %s (id %u) in generation %llu", told->service.name,
			    told->decision->service, told->decision->generation);
		json_string(json, "service", told->service.name);
		json_u64(json, "id", told->decision->service);
	}
	json_object_end(json);
}

static void write_hash(struct json *json, const struct told *told)
{
	const struct lb_config_service *config = told->service.config;

	step(json, "hash");
	json_format(json, "text", "the %s hashes to %016llx, which picks slot %u of %u",
		    config && config->affinity == LB_AFFINITY_SOURCE ? "client's address" : "flow",
		    told->decision->hash, told->decision->slot, told->service.ring_slots);
	json_format(json, "hash", "%016llx", told->decision->hash);
	json_u64(json, "slot", told->decision->slot);
	json_object_end(json);
}

static void write_slot(struct json *json, const struct told *told)
{
	__u32 word = told->decision->word, cur = lb_slot_cur(word), base = lb_slot_base(word);

	step(json, "slot");
	if (lb_slot_settled(word))
		json_format(json, "text", "slot %u is settled: its owner is %s, no flow table is asked",
			    told->decision->slot, index_text(told, cur));
	else
		json_format(json, "text",
			    "slot %u is unsettled: new flows go to %s, old flows without an entry to %s%s",
			    told->decision->slot, index_text(told, cur), index_text(told, base),
			    word & LB_SLOT_LEARNING ? "; learning: an unknown flow is taken to be old" : "");
	json_string(json, "cur", backend_name(told, cur));
	json_string(json, "base", backend_name(told, base));
	json_bool(json, "settled", lb_slot_settled(word));
	json_object_end(json);
}

static void write_flow(struct json *json, const struct told *told)
{
	const struct lb_decision *decision = told->decision;

	if (lb_slot_settled(decision->word))
		return;
	step(json, "flow");
	if (!decided(told, LB_DECIDED_FLOW))
		json_format(json, "text", "the flow table does not know this flow: it goes to %s",
			    index_text(told, decision->index));
	else if (is_void(told))
		json_format(json, "text", "the flow table's entry is void, its backend is down: %s instead",
			    index_text(told, decision->index));
	else
		json_format(json, "text", "the flow table says %s", index_text(told, decision->index));
	json_bool(json, "found", decided(told, LB_DECIDED_FLOW));
	json_object_end(json);
}

static const char *method_name(__u8 method)
{
	static const char *const names[] = { "none", "l2", "ipip", "ip6tnl", "gue", "gue6", "local" };

	return method < sizeof(names) / sizeof(names[0]) ? names[method] : "unknown";
}

static void write_forward(const struct lbd *lbd, struct json *json, const struct lb_backend *backend)
{
	bool resolved = backend->method != LB_METHOD_NONE, local = backend->method == LB_METHOD_LOCAL;
	const struct lb_link *link =
		resolved && !local ? lb_nexthops_link(lbd->netlink.nexthops,
						      lb_port_ifindex(lbd->maps.ports[backend->port]))
				   : NULL;
	__u32 tag = backend->flags & LB_BACKEND_TAGGED ? lb_port_tag(lbd->maps.ports[backend->port]) : 0;
	const __u8 *mac = backend->eth;
	char vlan[32] = "";

	step(json, "forward");
	if (tag)
		snprintf(vlan, sizeof(vlan), " with VLAN tag %u", tag & 0xfff);
	if (!resolved)
		json_string(json, "text", "its next hop is not resolved");
	else if (local)
		json_string(json, "text", "it is this host: handed to its own stack as it came");
	else
		json_format(json, "text",
			    "%s to %02x:%02x:%02x:%02x:%02x:%02x by %s%s, packets of up to %u bytes",
			    method_name(backend->method), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
			    link ? link->name : "an interface that is gone", vlan,
			    lb_backend_max_len(backend));
	json_string(json, "method", method_name(backend->method));
	json_u64(json, "max_bytes", lb_backend_max_len(backend));
	json_u64(json, "port", backend->port);
	if (tag)
		json_u64(json, "vlan", tag & 0xfff);
	json_string(json, "egress", link ? link->name : NULL);
	json_object_end(json);
}

static void write_backend(struct json *json, const struct told *told)
{
	const struct lb_decision *decision = told->decision;

	step(json, "backend");
	if (!told->backend) {
		json_string(json, "text", "the service has no eligible backend");
		json_object_end(json);
		return;
	}
	json_format(json, "text", "backend %s, index %u, counter line %u", index_text(told, decision->index),
		    decision->index, told->backend->counter);
	json_u64(json, "index", decision->index);
	json_u64(json, "counter", told->backend->counter);
	json_object_end(json);
	write_forward(told->lbd, json, told->backend);
}

static void write_slot_members(struct json *json, const struct told *told)
{
	__u32 word = told->decision->word;

	if (!decided(told, LB_DECIDED_SLOT)) {
		json_null(json, "slot");
		json_null(json, "cur");
		json_null(json, "base");
		json_null(json, "settled");
		return;
	}
	json_u64(json, "slot", told->decision->slot);
	json_string(json, "cur", backend_name(told, lb_slot_cur(word)));
	json_string(json, "base", backend_name(told, lb_slot_base(word)));
	json_bool(json, "settled", lb_slot_settled(word));
}

static void write_decision(struct json *json, const struct told *told)
{
	if (decided(told, LB_DECIDED_SLOT)) {
		write_hash(json, told);
		write_slot(json, told);
		write_flow(json, told);
	}
	if (told->service.name)
		write_backend(json, told);
	json_array_end(json);
	json_string(json, "service", told->service.name);
	write_slot_members(json, told);
	if (decided(told, LB_DECIDED_FLOW)) {
		json_object(json, "flow_entry");
		json_string(json, "backend", backend_name(told, told->decision->flow));
		json_bool(json, "void", is_void(told));
		json_object_end(json);
	} else {
		json_null(json, "flow_entry");
	}
	json_string(json, "backend", told->backend ? backend_name(told, told->decision->index) : NULL);
}

static const struct attachment *first_attached(const struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by != ATTACHED_NOT)
			return &lbd->attachments[i];
	return NULL;
}

/* Whether the interface runs the program that we gave it. */
static bool runs_ours(const struct attachment *attachment)
{
	__u32 id = 0;

	if (!attachment || attachment->by != ATTACHED_LINK)
		return true;
	return bpf_xdp_query_id(attachment->ifindex, 0, &id) < 0 || id == attachment->program_id;
}

int api_explain(struct api_call *call, struct lb_error *error)
{
	static const __u8 some_mac[6] = { 0x02, 0, 0, 0, 0, 0x02 };
	struct lbd *lbd = call->lbd;
	struct json *json = call->json;
	const struct attachment *attachment = first_attached(lbd);
	const struct lb_link *link =
		attachment ? lb_nexthops_link(lbd->netlink.nexthops, attachment->ifindex) : NULL;
	struct explain_question question = {};
	const struct reason_text *reason;
	__u8 packet[EXPLAIN_PACKET_MAX];
	struct explain_run run;
	struct told told;
	__u32 bytes;
	int r = parse_question(call->request, &question, error);

	if (r < 0)
		return r;
	bytes = explain_packet(&question, link && link->has_mac ? link->mac : some_mac, packet);
	r = explain_run(lbd, attachment ? attachment->ifindex : 0, packet, bytes, &run, error);
	if (r < 0)
		return r;
	find_names(lbd, &run.decision, &told);
	reason = reason_find(run.decision.reason);

	json_u64(json, "generation", run.decision.generation);
	json_hex(json, "packet", packet, bytes);
	json_array(json, "steps");
	write_parse(json, &question, bytes);
	write_service(json, &told);
	write_decision(json, &told);
	json_string(json, "interface", attachment ? attachment->wanted.name : NULL);
	json_string(json, "verdict", explain_verdict_name(run.verdict));
	json_string(json, "reason", reason ? reason->name : NULL);
	json_hex(json, "packet_out", run.packet, run.bytes);
	json_bool(json, "agrees", runs_ours(attachment));
	return 0;
}
