// SPDX-License-Identifier: GPL-2.0-only
/*
 * POST /v1/explain: every step from packet to verdict, in words and values.
 */
#include "lbd/api/api.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

struct names {
	const char *service;
	struct lb_service_view view;
	bool known;
};

static void find_names(struct lbd *lbd, const struct lb_vip *vip, struct names *names)
{
	const struct lb_tables *tables = &lbd->maps.tables;

	memset(names, 0, sizeof(*names));
	if (!vip || vip->service >= tables->sizes.services)
		return;
	names->service = tables->service_meta[vip->service].name;
	names->known = lb_engine_service_by_name(lbd->engine, names->service, &names->view) == 0;
}

static const char *backend_name(const struct names *names, __u32 index)
{
	for (size_t i = 0; names->known && i < names->view.n_backends; i++)
		if (names->view.backends[i].index == index)
			return names->view.backends[i].name;
	return NULL;
}

static const char *index_text(const struct names *names, __u32 index)
{
	const char *name = backend_name(names, index);

	return index == LB_INDEX_NONE ? "no backend" : name ? name : "a backend that is gone";
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

static void write_service(struct json *json, const struct explain_decision *decision,
			  const struct names *names)
{
	step(json, "service");
	if (!decision->vip) {
		json_string(json, "text",
			    "no service has this address, protocol and port: the host gets the packet");
	} else {
		json_format(json, "text", "service %s (id %u) in generation %llu", names->service,
			    decision->vip->service, decision->generation);
		json_string(json, "service", names->service);
		json_u64(json, "id", decision->vip->service);
	}
	json_object_end(json);
}

static void write_slot(struct json *json, const struct explain_decision *decision, const struct names *names)
{
	__u32 cur = lb_slot_cur(decision->word), base = lb_slot_base(decision->word);
	bool settled = lb_slot_settled(decision->word);

	step(json, "hash");
	json_format(json, "text", "the %s hashes to %016llx, which picks slot %u of %u",
		    decision->vip->flags & LB_VIP_SOURCE ? "client's address" : "flow", decision->hash,
		    decision->slot, decision->vip->ring_mask + 1);
	json_format(json, "hash", "%016llx", decision->hash);
	json_u64(json, "slot", decision->slot);
	json_object_end(json);
	step(json, "slot");
	if (settled)
		json_format(json, "text", "slot %u is settled: its owner is %s, no flow table is asked",
			    decision->slot, index_text(names, cur));
	else
		json_format(json, "text",
			    "slot %u is unsettled: new flows go to %s, old flows without an entry to %s%s",
			    decision->slot, index_text(names, cur), index_text(names, base),
			    decision->word & LB_SLOT_LEARNING
				    ? "; learning: an unknown flow is taken to be old"
				    : "");
	json_string(json, "cur", backend_name(names, cur));
	json_string(json, "base", backend_name(names, base));
	json_bool(json, "settled", settled);
	json_object_end(json);
}

static void write_flow(struct json *json, const struct explain_decision *decision, const struct names *names)
{
	if (!decision->asked)
		return;
	step(json, "flow");
	if (!decision->found)
		json_format(json, "text", "the flow table does not know this flow: it goes to %s",
			    index_text(names, decision->index));
	else if (decision->void_entry)
		json_format(json, "text", "the flow table's entry is void, its backend is down: %s instead",
			    index_text(names, decision->index));
	else
		json_format(json, "text", "the flow table says %s", index_text(names, decision->index));
	json_bool(json, "found", decision->found);
	json_object_end(json);
}

static const char *method_name(__u8 method)
{
	static const char *const names[] = { "none", "l2", "ipip", "ip6tnl", "gue", "gue6" };

	return method < sizeof(names) / sizeof(names[0]) ? names[method] : "unknown";
}

static void write_forward(const struct lbd *lbd, struct json *json, const struct lb_backend *backend)
{
	bool resolved = backend->method != LB_METHOD_NONE;
	const struct lb_link *link =
		resolved ? lb_nexthops_link(lbd->netlink.nexthops, (__u32)lbd->maps.ports[backend->port])
			 : NULL;
	const __u8 *mac = backend->eth;

	step(json, "forward");
	if (!resolved)
		json_string(json, "text", "its next hop is not resolved");
	else
		json_format(json, "text",
			    "%s to %02x:%02x:%02x:%02x:%02x:%02x by %s, packets of up to %u bytes",
			    method_name(backend->method), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
			    link ? link->name : "an interface that is gone", backend->max_len);
	json_string(json, "method", method_name(backend->method));
	json_u64(json, "max_bytes", backend->max_len);
	json_u64(json, "port", backend->port);
	json_string(json, "egress", link ? link->name : NULL);
	json_object_end(json);
}

static void write_backend(const struct lbd *lbd, struct json *json, const struct explain_decision *decision,
			  const struct names *names)
{
	const struct lb_backend *backend = decision->backend;

	step(json, "backend");
	if (!backend) {
		json_string(json, "text", "the service has no eligible backend");
		json_object_end(json);
		return;
	}
	json_format(json, "text", "backend %s, index %u, counter line %u", index_text(names, decision->index),
		    decision->index, backend->counter);
	json_u64(json, "index", decision->index);
	json_u64(json, "counter", backend->counter);
	json_object_end(json);
	write_forward(lbd, json, backend);
}

static void write_decision(const struct lbd *lbd, struct json *json, const struct explain_decision *decision,
			   const struct names *names)
{
	bool has_slot = decision->vip;

	if (has_slot) {
		write_slot(json, decision, names);
		write_flow(json, decision, names);
		write_backend(lbd, json, decision, names);
	}
	json_array_end(json);
	json_string(json, "service", names->service);
	if (has_slot) {
		json_u64(json, "slot", decision->slot);
		json_string(json, "cur", backend_name(names, lb_slot_cur(decision->word)));
		json_string(json, "base", backend_name(names, lb_slot_base(decision->word)));
		json_bool(json, "settled", lb_slot_settled(decision->word));
	} else {
		json_null(json, "slot");
		json_null(json, "cur");
		json_null(json, "base");
		json_null(json, "settled");
	}
	if (decision->found) {
		json_object(json, "flow_entry");
		json_string(json, "backend", backend_name(names, decision->entry & LB_INDEX_MASK));
		json_bool(json, "void", decision->void_entry);
		json_object_end(json);
	} else {
		json_null(json, "flow_entry");
	}
	json_string(json, "backend", decision->backend ? backend_name(names, decision->index) : NULL);
}

/* The verdict that the tables ask for. */
static __u32 expected_verdict(const struct lbd *lbd, const struct explain_decision *decision, int ifindex)
{
	const struct reason_text *reason = reason_find(decision->reason);

	if (reason)
		return reason->action == REASON_DROP    ? XDP_DROP
		       : reason->action == REASON_REPLY ? XDP_TX
							: XDP_PASS;
	if (lbd->several_interfaces)
		return lbd->maps.ports[decision->backend->port] == (__u64)ifindex ? XDP_TX : XDP_REDIRECT;
	return decision->backend->flags & LB_BACKEND_TX ? XDP_TX : XDP_REDIRECT;
}

/* Whether what the program did is what the tables say: verdict, next hop, and outer destination. */
static bool agrees(const struct lbd *lbd, const struct explain_decision *decision,
		   const struct explain_run *run, int ifindex)
{
	const struct lb_backend *backend = decision->backend;

	if (run->verdict != expected_verdict(lbd, decision, ifindex))
		return false;
	if (decision->reason)
		return true;
	if (run->bytes < 54 || memcmp(run->packet, backend->eth, 12) != 0)
		return false;
	switch (backend->method) {
	case LB_METHOD_IPIP_V4:
	case LB_METHOD_GUE_V4:
		return memcmp(run->packet + 14 + 16, backend->ip + 16, 4) == 0;
	case LB_METHOD_IPIP_V6:
	case LB_METHOD_GUE_V6:
		return memcmp(run->packet + 14 + 24, backend->ip + 24, 16) == 0;
	default:
		return true;
	}
}

/* The program on the interface, by its id; where it is part of a dispatcher, which cannot be run, our own
 * copy. */
static int loaded_program(struct lbd *lbd, const struct attachment *attachment, struct lb_error *error)
{
	int fd;

	if (attachment && attachment->by == ATTACHED_LINK) {
		fd = bpf_prog_get_fd_by_id(attachment->program_id);
		return fd < 0 ? lb_error_set(error, errno, "Failed to open the loaded program: %m") : fd;
	}
	fd = interfaces_program(lbd, error);
	return fd < 0 ? fd : dup(fd);
}

static const struct attachment *first_attached(const struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by != ATTACHED_NOT)
			return &lbd->attachments[i];
	return NULL;
}

int api_explain(struct api_call *call, struct lb_error *error)
{
	static const __u8 some_mac[6] = { 0x02, 0, 0, 0, 0, 0x02 };
	struct lbd *lbd = call->lbd;
	struct json *json = call->json;
	const struct attachment *attachment = first_attached(lbd);
	const struct lb_link *link =
		attachment ? lb_nexthops_link(lbd->netlink.nexthops, attachment->ifindex) : NULL;
	_cleanup_(closep) int program_fd = -1;
	struct explain_question question = {};
	struct explain_decision decision;
	const struct reason_text *reason;
	__u8 packet[EXPLAIN_PACKET_MAX];
	struct explain_run run;
	struct names names;
	__u32 bytes;
	int ifindex = attachment ? attachment->ifindex : 0;
	int r = parse_question(call->request, &question, error);

	if (r < 0)
		return r;
	program_fd = loaded_program(lbd, attachment, error);
	if (program_fd < 0)
		return program_fd;
	bytes = explain_packet(&question, link && link->has_mac ? link->mac : some_mac, packet);
	explain_decide(&lbd->maps.tables, &question, bytes, &decision);
	r = explain_run_program(program_fd, ifindex, packet, bytes, &run, error);
	if (r == -EINVAL && ifindex)
		r = explain_run_program(program_fd, 0, packet, bytes, &run, error);
	if (r < 0)
		return r;
	find_names(lbd, decision.vip, &names);
	reason = reason_find(decision.reason);

	json_u64(json, "generation", decision.generation);
	json_hex(json, "packet", packet, bytes);
	json_array(json, "steps");
	write_parse(json, &question, bytes);
	write_service(json, &decision, &names);
	write_decision(lbd, json, &decision, &names);
	json_string(json, "interface", attachment ? attachment->wanted.name : NULL);
	json_string(json, "verdict", explain_verdict_name(run.verdict));
	json_string(json, "reason", reason ? reason->name : NULL);
	json_hex(json, "packet_out", run.packet, run.bytes);
	json_bool(json, "agrees", agrees(lbd, &decision, &run, ifindex));
	return 0;
}
