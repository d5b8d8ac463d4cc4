// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only the leader does, Service by Service: first our finalizer and the size of the ring, then
 * addresses, which are recorded in the status before anybody serves them; and, when a Service is ours no
 * more, all of that back. Every write names the version that it was made from, so that one on stale data is
 * refused (409) and made anew on fresh. A few are under way at once.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_json.h"
#include "lb-kubed/kubed.h"

#define WRITES_MAX 16
#define TIMEOUT_MS 3000
#define AWAIT_MS   5000 /* for our own write to be seen */
#define STARVED_MS 2000 /* between two tries for an address */
#define FIRST_MS   20
#define LONGEST_MS 30000

/* --- the queue ---------------------------------------------------------------------------------------------
 */

static void enqueue(struct kubed *kubed, struct serving *serving)
{
	if (serving->wants_write || serving->write)
		return;
	serving->wants_write = true;
	serving->next_write = NULL;
	*kubed->writes.last = serving;
	kubed->writes.last = &serving->next_write;
}

static void unlink_write(struct kubed *kubed, struct serving **at)
{
	struct serving *serving = *at;

	*at = serving->next_write;
	if (!*at)
		kubed->writes.last = at;
	serving->wants_write = false;
}

static struct serving *dequeue(struct kubed *kubed, __u64 now, __u64 *due)
{
	for (struct serving **at = &kubed->writes.first; *at; at = &(*at)->next_write) {
		struct serving *serving = *at;

		if (serving->write_due_ms > now) {
			*due = serving->write_due_ms < *due ? serving->write_due_ms : *due;
			continue;
		}
		unlink_write(kubed, at);
		return serving;
	}
	return NULL;
}

static void release_reserved(struct kubed *kubed, struct serving *serving)
{
	for (size_t i = 0; i < serving->n_reserved; i++) {
		bool has = false;

		for (size_t k = 0; k < serving->n_addresses; k++)
			has |= lb_address_equal(&serving->reserved[i], &serving->addresses[k]);
		if (!has)
			lb_kube_ledger_release(kubed->ledger, serving->group->key, &serving->reserved[i]);
	}
	serving->n_reserved = 0;
}

/* It is to have no addresses any more. */
void lead_forget(struct kubed *kubed, struct serving *serving)
{
	release_reserved(kubed, serving);
	for (struct serving **at = &kubed->writes.first; *at; at = &(*at)->next_write)
		if (*at == serving) {
			unlink_write(kubed, at);
			break;
		}
}

/* --- what is to be written ---------------------------------------------------------------------------------
 */

static bool leads(const struct kubed *kubed)
{
	return lb_kube_lease_leads(&kubed->leader.lease, now_ms());
}

/* finalizers as they are, with or without ours; and the size of the ring, 0: taken away. */
static char *print_meta(const struct lb_kube_service *service, bool with, __u32 ring_size)
{
	const char *comma = "";
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fputs("{\"metadata\":{\"resourceVersion\":", out);
	lb_json_quote(out, service->meta.resource_version ? service->meta.resource_version : "");
	fputs(",\"finalizers\":[", out);
	for (size_t i = 0; i < service->n_finalizers; i++) {
		if (strcmp(service->finalizers[i], LB_KUBE_FINALIZER) == 0)
			continue;
		fputs(comma, out);
		lb_json_quote(out, service->finalizers[i]);
		comma = ",";
	}
	if (with)
		fprintf(out, "%s\"%s\"", comma, LB_KUBE_FINALIZER);
	if (ring_size)
		fprintf(out, "],\"annotations\":{\"%s\":\"%u\"}}}", LB_KUBE_PREFIX LB_KUBE_RING_SIZE,
			ring_size);
	else
		fprintf(out, "],\"annotations\":{\"%s\":null}}}", LB_KUBE_PREFIX LB_KUBE_RING_SIZE);
	return fclose(out) == 0 ? text : NULL;
}

static char *print_status(const struct lb_kube_service *service, const struct lb_address *addresses, size_t n)
{
	char *text = NULL, address[LB_ADDRESS_TEXT_MAX];
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fputs("{\"metadata\":{\"resourceVersion\":", out);
	lb_json_quote(out, service->meta.resource_version ? service->meta.resource_version : "");
	fprintf(out, "},\"status\":{\"loadBalancer\":{\"ingress\":%s", n ? "[" : "null");
	for (size_t i = 0; i < n; i++) {
		const char *comma = "";

		fprintf(out, "%s{\"ip\":\"%s\",\"ipMode\":\"VIP\",\"ports\":[", i ? "," : "",
			lb_address_text(&addresses[i], address));
		for (size_t k = 0; k < service->n_ports; k++) {
			if (!service->ports[k].protocol)
				continue;
			fprintf(out, "%s{\"port\":%u,\"protocol\":\"%s\"}", comma, service->ports[k].port,
				service->ports[k].protocol == IPPROTO_UDP ? "UDP" : "TCP");
			comma = ",";
		}
		fputs("]}", out);
	}
	fputs(n ? "]}}}" : "}}}", out);
	return fclose(out) == 0 ? text : NULL;
}

static bool status_says(const struct lb_kube_service *service, const struct lb_address *addresses, size_t n)
{
	__u64 ports = lb_kube_ports_digest(service->ports, service->n_ports);

	if (service->strange_ingress || service->n_ingress != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!service->ingress[i].vip || service->ingress[i].ports != ports ||
		    !lb_address_equal(&service->ingress[i].address, &addresses[i]))
			return false;
	return true;
}

/* Addresses are reserved with the ledger before they are written. */
static char *write_addresses(struct kubed *kubed, struct serving *serving,
			     const struct lb_kube_service *service, const struct lb_kube_wish *wish)
{
	struct lb_address addresses[LB_KUBE_FAMILIES];
	struct lb_kube_notes notes = {};
	bool reserved = serving->n_reserved && !serving->n_addresses;
	size_t n;

	lb_kube_allocate(kubed->ledger, &kubed->pools, serving->group->key, service, wish,
			 reserved ? serving->reserved : serving->addresses,
			 reserved ? serving->n_reserved : serving->n_addresses, addresses, &n, &notes);
	for (size_t i = 0; i < n; i++)
		if (!lb_kube_pools_contain(&kubed->pools, &addresses[i]))
			lb_kube_note(&notes, LB_KUBE_REASON_AddressLeftPool,
				     "its address is in no pool any more: it keeps it");
	tell(kubed, serving, &notes, now_ms());
	if (n < service->n_families && notes.n) {
		kubed->counts.exhausted++;
		serving->write_due_ms = now_ms() + STARVED_MS;
		enqueue(kubed, serving);
	}
	if (n == 0 || status_says(service, addresses, n))
		return NULL;
	release_reserved(kubed, serving);
	for (size_t i = 0; i < n; i++) {
		if (lb_kube_ledger_claim(kubed->ledger, serving->group->key, service, wish->share,
					 &addresses[i]) < 0)
			return NULL;
		serving->reserved[serving->n_reserved++] = addresses[i];
	}
	return print_status(service, addresses, n);
}

/* What was ours and is not any more: its status, if that still has addresses of ours, then the rest. */
static char *write_farewell(struct kubed *kubed, const struct lb_kube_service *service, bool *status)
{
	bool ours = service->n_ingress > 0 && service->load_balancer && !service->meta.deleting;

	if (!lb_kube_has_finalizer(service))
		return NULL;
	for (size_t i = 0; i < service->n_ingress; i++)
		ours &= lb_kube_pools_contain(&kubed->pools, &service->ingress[i].address);
	*status = ours;
	return ours ? print_status(service, NULL, 0) : print_meta(service, false, 0);
}

/* The next patch for a Service, or NULL: there is nothing to write. *status: it is for the status. */
static char *next_patch(struct kubed *kubed, struct serving *serving, const struct lb_kube_service *service,
			bool *status)
{
	struct lb_kube_wish wish;
	size_t n;

	*status = false;
	if (!plan_serves(kubed, service))
		return write_farewell(kubed, service, status);
	if (lb_kube_wish_parse(service, &kubed->options.defaults, &wish, NULL) < 0)
		return NULL;
	if (!lb_kube_has_finalizer(service) || !wish.ring_size) {
		const struct lb_kube_node *const *nodes = lb_kube_store_nodes(kubed->store, &n);

		return print_meta(service, true,
				  wish.ring_size ? wish.ring_size : lb_kube_ring_size(nodes, n));
	}
	*status = true;
	return write_addresses(kubed, serving, service, &wish);
}

/* --- writing -----------------------------------------------------------------------------------------------
 */

static bool write_next(struct kubed *kubed, struct serving *serving, const struct lb_kube_service *service);

static void await(struct serving *serving, const char *version)
{
	free(serving->awaited);
	serving->awaited = version ? strdup(version) : NULL;
	serving->write_due_ms = now_ms() + AWAIT_MS;
}

static void failed(struct kubed *kubed, struct serving *serving, const struct request *request)
{
	__u32 wait_ms = lb_kube_backoff_ms(++serving->write_failures, FIRST_MS, LONGEST_MS, &kubed->random);
	char why[300];

	if (request->status == 409)
		kubed->counts.conflicts++;
	else if (request->status != 404)
		say("Failed to write service=%s why=\"%s\"", serving->group->key, http_why(request, why));
	if (request->retry_after_s && wait_ms < request->retry_after_s * 1000)
		wait_ms = request->retry_after_s * 1000;
	serving->write_due_ms = now_ms() + wait_ms;
	enqueue(kubed, serving);
}

static void tell_addresses(struct kubed *kubed, struct serving *serving,
			   const struct lb_kube_service *service)
{
	char one[LB_ADDRESS_TEXT_MAX], text[2 * LB_ADDRESS_TEXT_MAX + 2] = "";
	struct lb_kube_notes notes = {};

	if (!serving->n_reserved || !status_says(service, serving->reserved, serving->n_reserved))
		return;
	for (size_t i = 0; i < serving->n_reserved; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ", " : "",
			 lb_address_text(&serving->reserved[i], one));
	lb_kube_note(&notes, LB_KUBE_REASON_AddressAllocated, "%s", text);
	tell(kubed, serving, &notes, now_ms());
}

/* What was written is continued from at once: the next write is made from the object that came back. */
static void on_written(struct request *request)
{
	struct kubed *kubed = request->kubed;
	struct serving *serving = request->context;
	struct lb_kube_service *fresh = NULL;
	_cleanup_(cjson_freep) cJSON *json = NULL;

	serving->write = NULL;
	kubed->n_writes--;
	if (request->status != 200) {
		failed(kubed, serving, request);
		return;
	}
	serving->write_failures = 0;
	json = request->answer ? cJSON_Parse(request->answer) : NULL;
	if (!serving->group->service)
		plan_wanted(kubed, serving, now_ms());
	if (!json || lb_kube_service_parse(json, &fresh, NULL) < 0)
		return;
	tell_addresses(kubed, serving, fresh);
	if (!serving->group->service || !leads(kubed) || !write_next(kubed, serving, fresh)) {
		await(serving, fresh->meta.resource_version);
		enqueue(kubed, serving);
	}
	lb_kube_service_free(fresh);
}

static bool write_next(struct kubed *kubed, struct serving *serving, const struct lb_kube_service *service)
{
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_API,
		.method = "PATCH",
		.type = MERGE_PATCH,
		.timeout_ms = TIMEOUT_MS,
		.done = on_written,
		.context = serving,
	};
	bool status;

	asking.body = next_patch(kubed, serving, service, &status);
	if (!asking.body)
		return false;
	if (asprintf(&path, "/api/v1/namespaces/%s/services/%s%s?fieldManager=lb-kubed",
		     service->meta.namespace, service->meta.name, status ? "/status" : "") < 0) {
		path = NULL;
		free(asking.body);
		return false;
	}
	asking.url = path;
	serving->write = http_ask(kubed, &asking);
	if (!serving->write)
		return false;
	kubed->n_writes++;
	kubed->counts.writes++;
	return true;
}

/* Whether our last write has been seen, or is not to be waited for any longer. */
static bool is_fresh(struct kubed *kubed, struct serving *serving, __u64 now)
{
	const struct lb_kube_service *service = serving->group->service;
	bool seen = !serving->awaited || !service || !service->meta.resource_version ||
		    strcmp(serving->awaited, service->meta.resource_version) == 0;

	if (!seen && now < serving->write_due_ms)
		return false;
	if (serving->awaited) {
		free(serving->awaited);
		serving->awaited = NULL;
		serving->write_due_ms = 0;
		release_reserved(kubed, serving);
	}
	return true;
}

void lead(struct kubed *kubed, struct serving *serving, __u64 now)
{
	if (!serving->group->service || serving->write)
		return;
	if (!serving->write_failures && is_fresh(kubed, serving, now))
		serving->write_due_ms = 0;
	enqueue(kubed, serving);
}

__u64 lead_turn(struct kubed *kubed, __u64 now)
{
	__u64 due = ~0ull;
	struct serving *serving;

	if (!leads(kubed) || !resources_can_lead(kubed))
		return due;
	while (kubed->n_writes < WRITES_MAX && (serving = dequeue(kubed, now, &due)))
		if (serving->group->service && !serving->write && is_fresh(kubed, serving, now))
			write_next(kubed, serving, serving->group->service);
	return due;
}

static void count_given(void *context, struct lb_kube_group *group)
{
	size_t *n = context;

	*n += group->service && lb_kube_has_finalizer(group->service);
}

size_t lead_count_given(struct kubed *kubed)
{
	size_t n = 0;

	lb_kube_store_each(kubed->store, count_given, &n);
	return n;
}
