// SPDX-License-Identifier: GPL-2.0-only
/* See peer.h. */
#include "lbctl/peer.h"

#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"

#define TOLD_MAX 20 /* services that are named */

static void tell(cJSON *list, char *text)
{
	cJSON *item = cJSON_CreateString(text);

	if (!item || !cJSON_AddItemToArray(list, item))
		lbctl_memory();
	free(text);
}

static const cJSON *service_of(const cJSON *rings, const char *name)
{
	const cJSON *service;

	cJSON_ArrayForEach (service, json_get(rings, "services"))
		if (strcmp(json_text(service, "name"), name) == 0)
			return service;
	return NULL;
}

static bool same(const cJSON *a, const cJSON *b, const char *key)
{
	return strcmp(json_text(a, key), json_text(b, key)) == 0;
}

/* Of one service of ours; whether it differs. */
static bool compare_service(const cJSON *service, const cJSON *theirs, bool named, cJSON *list)
{
	const char *name = json_text(service, "name");
	unsigned long long size = json_u64(service, "ring_size"),
			   other = theirs ? json_u64(theirs, "ring_size") : 0;

	if (theirs && same(service, theirs, "digest"))
		return false;
	if (!named)
		return true;
	if (!theirs)
		tell(list, lbctl_format("service %s is not there", name));
	else if (size != other)
		tell(list,
		     lbctl_format(
			     "service %s has a ring of %llu slots there and %llu here: pin ring_size in the "
			     "configuration of both",
			     name, other, size));
	else
		tell(list, lbctl_format("service %s differs: its backends, their weights or states, "
					"algorithm, affinity, "
					"or VIP",
					name));
	return true;
}

static void compare_services(const cJSON *ours, const cJSON *theirs, cJSON *list)
{
	const cJSON *service;
	size_t n = 0;

	cJSON_ArrayForEach (service, json_get(ours, "services"))
		n += compare_service(service, service_of(theirs, json_text(service, "name")), n < TOLD_MAX,
				     list);
	cJSON_ArrayForEach (service, json_get(theirs, "services")) {
		if (service_of(ours, json_text(service, "name")))
			continue;
		if (n++ < TOLD_MAX)
			tell(list, lbctl_format("service %s is there only", json_text(service, "name")));
	}
	if (n > TOLD_MAX)
		tell(list, lbctl_format("and %zu more services", n - TOLD_MAX));
}

/* What makes all rings differ makes a comparison of each pointless. */
static void compare(const cJSON *ours, const cJSON *theirs, cJSON *list)
{
	if (json_u64(ours, "hash_version") != json_u64(theirs, "hash_version") ||
	    json_u64(ours, "ring_rule") != json_u64(theirs, "ring_rule")) {
		tell(list, lbctl_format("it places flows by version %llu of the hash and %llu of the rule "
					"for ring sizes, "
					"this one by %llu and %llu: bring both to the same version",
					json_u64(theirs, "hash_version"), json_u64(theirs, "ring_rule"),
					json_u64(ours, "hash_version"), json_u64(ours, "ring_rule")));
		return;
	}
	if (!same(ours, theirs, "key")) {
		tell(list, lbctl_format("hash_seed is another: no ring is the same"));
		return;
	}
	compare_services(ours, theirs, list);
	if (!same(ours, theirs, "words"))
		tell(list, lbctl_format("what was set by hand differs (lbctl backend list, on both)"));
}

cJSON *peer_differences(struct lbctl *c, const char *url, size_t *ret_services, cJSON **ret_error)
{
	const struct request request = { .method = "GET", .path = "/v1/rings", .key = "services" };
	_cleanup_(reply_done) struct reply ours = { 0 };
	_cleanup_(reply_done) struct reply theirs = { 0 };
	cJSON *list;

	if (agent_try(c, &request, &ours, ret_error) < 0 ||
	    agent_try_remote(c, url, "/rings", "services", &theirs, ret_error) < 0)
		return NULL;
	list = cJSON_CreateArray();
	if (!list)
		lbctl_memory();
	compare(ours.root, theirs.root, list);
	*ret_services = (size_t)cJSON_GetArraySize(json_get(ours.root, "services"));
	return list;
}

static void print_json(const char *url, const cJSON *list)
{
	_cleanup_(cjson_freep) cJSON *root = cJSON_CreateObject();
	_cleanup_(freep) char *text = NULL;

	if (!root || !cJSON_AddStringToObject(root, "peer", url) ||
	    !cJSON_AddBoolToObject(root, "same", cJSON_GetArraySize(list) == 0) ||
	    !cJSON_AddItemToObject(root, "differences", cJSON_Duplicate(list, true)))
		lbctl_memory();
	text = cJSON_PrintUnformatted(root);
	printf("%s\n", text ? text : "{}");
}

int peer_status(struct lbctl *c, const char *url)
{
	_cleanup_(cjson_freep) cJSON *list = NULL;
	cJSON *error = NULL;
	const cJSON *item;
	size_t services = 0;

	list = peer_differences(c, url, &services, &error);
	if (!list)
		return lbctl_fail_with(c, error);
	if (c->json)
		print_json(url, list);
	else if (cJSON_GetArraySize(list) == 0)
		printf("%s builds the same rings (%zu services)\n", url, services);
	else
		cJSON_ArrayForEach (item, list)
			printf("%s: %s\n", url, item->valuestring);
	return cJSON_GetArraySize(list) ? EXIT_DIFFERS : EXIT_DONE;
}
