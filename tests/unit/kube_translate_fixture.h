/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Service, slices and three nodes, n1 to n3, translated; what comes out is read by the reader of the
 * configuration. Included by one test.
 */
#pragma once

#include "kube_fixture.h"

#include "config/config.h"
#include "kube/translate.h"

static const struct lb_kube_defaults defaults = {
	.class = "weir.dev/weir",
	.forward = LB_FORWARD_IPIP,
	.announce = LB_ANNOUNCE_BY_ROUTE,
};

struct fixture {
	struct lb_kube_store *store;
	struct lb_kube_wish wish;
	struct lb_address addresses[2];
	size_t n_addresses;
	enum lb_kube_proof proofs[8]; /* of n0, n1, ... */
	__u32 endpoints[8];           /* the same: that they say */
	struct lb_kube_parts parts;
	struct lb_kube_notes notes;
	struct lb_config *config; /* of the parts */
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->store = lb_kube_store_new();
	assert_int_equal(lb_address_parse("203.0.113.1", &f->addresses[0]), 0);
	assert_int_equal(lb_address_parse("2001:db8::1", &f->addresses[1]), 0);
	f->n_addresses = 1;
	for (int i = 1; i <= 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(lb_kube_store_node(f->store, node_of(name, i, "", "")), 0);
	}
}

static void forget(struct fixture *f)
{
	lb_kube_parts_done(&f->parts);
	lb_config_free(f->config);
	f->config = NULL;
	memset(&f->notes, 0, sizeof(f->notes));
}

static void teardown(struct fixture *f)
{
	forget(f);
	lb_kube_store_free(f->store);
}

static void put(struct fixture *f, const char *meta, const char *spec)
{
	assert_int_equal(lb_kube_store_service(f->store, service_of("web", meta, spec, "")), 0);
}

static void slice(struct fixture *f, const char *name, const char *endpoints)
{
	assert_int_equal(lb_kube_store_slice(f->store, slice_of(lb_kube_store_names(f->store), name, "web",
								"IPv4", endpoints)),
			 0);
}

#define READY(address, node) "{'addresses':['" address "'],'nodeName':'" node "'}"
#define ENDING(address, node)                                                                                \
	"{'addresses':['" address "'],'nodeName':'" node                                                     \
	"','conditions':{'ready':false,'serving':true,'terminating':true}}"
#define NOT_READY(address, node)                                                                             \
	"{'addresses':['" address "'],'nodeName':'" node "','conditions':{'ready':false,'serving':false}}"

static struct lb_kube_shown ask(void *context, const struct lb_kube_question *question)
{
	struct fixture *f = context;
	int number = question->node->meta.name[1] - '0';

	assert_ptr_equal(question->vip, &f->addresses[question->vip->family == LB_FAMILY_V6]);
	assert_non_null(question->port);
	return (struct lb_kube_shown){ .proof = f->proofs[number], .endpoints = f->endpoints[number] };
}

/* What is made is one configuration, as the reader takes it. */
static void read_parts(struct fixture *f)
{
	struct lb_error error = {};
	size_t length;
	char *text;
	FILE *out = open_memstream(&text, &length);

	fputs("{\"version\":1,\"hash_seed\":\"x\",\"interfaces\":[{\"name\":\"lo\"}],\"services\":[", out);
	for (size_t i = 0; i < f->parts.n; i++)
		fprintf(out, "%s%s", i ? "," : "", f->parts.all[i].json);
	fputs("]}", out);
	fclose(out);
	if (lb_config_parse(text, length, &f->config, &error) < 0)
		print_error("%s: %s\n%s\n", error.path, error.text, text);
	assert_non_null(f->config);
	free(text);
}

static void translate(struct fixture *f)
{
	struct lb_kube_group *group = lb_kube_store_find(f->store, "default/web");
	struct lb_kube_view view = {
		.group = group,
		.wish = &f->wish,
		.addresses = f->addresses,
		.n_addresses = f->n_addresses,
		.ask = ask,
		.context = f,
	};

	forget(f);
	assert_int_equal(lb_kube_wish_parse(group->service, &defaults, &f->wish, NULL), 0);
	if (!f->wish.ring_size)
		f->wish.ring_size = 1024;
	view.nodes = lb_kube_store_nodes(f->store, &view.n_nodes);
	assert_int_equal(lb_kube_translate(&view, &f->parts, &f->notes), 0);
	read_parts(f);
}

/* Backends of a part: "n1=100 n2=200 n3!100", ! for one that drains. */
static const char *backends(const struct fixture *f, size_t part)
{
	static char text[512];
	const struct lb_config_service *service = &f->config->services[part];

	text[0] = 0;
	for (size_t i = 0; i < service->n_backends; i++)
		sprintf(text + strlen(text), "%s%s%c%u", i ? " " : "", service->backends[i].name,
			service->backends[i].state == LB_STATE_DRAIN ? '!' : '=',
			service->backends[i].weight);
	return text;
}

/* Sources that a part lets in. */
static const char *ranges(const struct fixture *f, size_t part)
{
	static char text[512];
	const struct lb_config_service *service = &f->config->services[part];
	char prefix[LB_PREFIX_TEXT_MAX];

	text[0] = 0;
	for (size_t i = 0; i < service->n_source_ranges; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "",
			lb_prefix_text(&service->source_ranges[i].prefix, prefix));
	return text;
}

static bool noted(const struct fixture *f, enum lb_kube_reason reason)
{
	for (unsigned int i = 0; i < f->notes.n; i++)
		if (f->notes.all[i].reason == reason)
			return true;
	return false;
}
