// SPDX-License-Identifier: GPL-2.0-only
/*
 * /metrics, /healthz and /readyz over HTTP, on loopback unless told otherwise. Read only, and small.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define CONNECTIONS 16u
#define SILENCE_S   5u

struct metrics {
	struct MHD_Daemon *daemon;
	int fd;
};

/* --- what is told ------------------------------------------------------------------------------------------
 */

static void metric(FILE *out, const char *name, const char *type, const char *help, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static void metric(FILE *out, const char *name, const char *type, const char *help, const char *format, ...)
{
	va_list arguments;

	fprintf(out, "# HELP weir_kube_%s %s\n# TYPE weir_kube_%s %s\n", name, help, name, type);
	va_start(arguments, format);
	vfprintf(out, format, arguments);
	va_end(arguments);
}

#define ONE(out, name, type, help, value)                                                                    \
	metric(out, name, type, help, "weir_kube_" name " %llu\n", (unsigned long long)(value))

static void write_watches(const struct kubed *kubed, FILE *out)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} rows[] = {
#define ROW(member, help) { #member, help, offsetof(struct lb_kube_watch, counts.member) }
		ROW(lists, "Lists begun."),
		ROW(watches, "Watches begun."),
		ROW(events, "Events of watches, bookmarks among them."),
		ROW(gone, "Versions that were too old (410)."),
		ROW(silent, "Streams ended for their silence."),
		ROW(failures, "Lists and watches that failed."),
#undef ROW
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fprintf(out, "# HELP weir_kube_watch_%s_total %s\n# TYPE weir_kube_watch_%s_total counter\n",
			rows[i].name, rows[i].help, rows[i].name);
		for (int k = 0; k < RESOURCES; k++)
			fprintf(out, "weir_kube_watch_%s_total{resource=\"%s\"} %llu\n", rows[i].name,
				resource_names[k],
				*(const __u64 *)((const char *)&kubed->resources[k].watch + rows[i].offset));
	}
}

static void write_pools(const struct kubed *kubed, FILE *out)
{
	static const __u8 families[] = { LB_FAMILY_V4, LB_FAMILY_V6 };

	fputs("# HELP weir_kube_pool_addresses Addresses of all pools.\n# TYPE weir_kube_pool_addresses "
	      "gauge\n",
	      out);
	for (int i = 0; i < LB_KUBE_FAMILIES; i++)
		fprintf(out, "weir_kube_pool_addresses{family=\"ipv%d\"} %llu\n", i ? 6 : 4,
			lb_kube_pools_size(&kubed->pools, families[i]));
	fputs("# HELP weir_kube_addresses_given Addresses that Services have.\n"
	      "# TYPE weir_kube_addresses_given gauge\n",
	      out);
	for (int i = 0; i < LB_KUBE_FAMILIES; i++)
		fprintf(out, "weir_kube_addresses_given{family=\"ipv%d\"} %zu\n", i ? 6 : 4,
			lb_kube_ledger_count(kubed->ledger, families[i]));
}

static void write_metrics(const struct kubed *kubed, FILE *out)
{
	struct lb_kube_store_counts counts = lb_kube_store_count(kubed->store);
	struct agent_counts agent = agent_count(kubed);

	ONE(out, "services", "gauge", "Services seen, of any type.", counts.services);
	ONE(out, "endpoint_slices", "gauge", "EndpointSlices seen.", counts.slices);
	ONE(out, "endpoints", "gauge", "Endpoints in them.", counts.endpoints);
	ONE(out, "nodes", "gauge", "Nodes seen.", counts.nodes);
	ONE(out, "synced", "gauge", "1 once everything has been planned for.", kubed->swept);
	ONE(out, "leader", "gauge", "1 where this member leads.", kubed->leads);
	ONE(out, "lan_leader", "gauge", "1 where this member answers on the LAN, by the Lease.",
	    lan_leads(kubed));
	ONE(out, "requests_total", "counter", "Requests, of all kinds.", kubed->counts.requests);
	ONE(out, "request_errors_total", "counter", "Requests that failed.", kubed->counts.errors);
	ONE(out, "writes_total", "counter", "Writes to Services.", kubed->counts.writes);
	ONE(out, "conflicts_total", "counter", "Writes on stale data (409).", kubed->counts.conflicts);
	ONE(out, "events_total", "counter", "Events made.", kubed->counts.events);
	ONE(out, "plans_total", "counter", "Services planned for.", kubed->counts.plans);
	ONE(out, "objects_bad_total", "counter", "Objects that were not understood.",
	    kubed->counts.objects_bad);
	ONE(out, "pools_bad_total", "counter", "Pools that were not understood.", kubed->counts.pools_bad);
	ONE(out, "addresses_missing_total", "counter", "Tries for an address that found none.",
	    kubed->counts.exhausted);
	ONE(out, "agent_services", "gauge", "Services that lbd has of ours.", agent.services);
	ONE(out, "agent_waiting", "gauge", "Services that lbd is still to be told of.", agent.waiting);
	ONE(out, "agent_held", "gauge",
	    "Services that stay as they were: what would be lost follows from no object.", agent.held);
	ONE(out, "agent_reachable", "gauge", "1 while lbd answers.", agent.reachable);
	ONE(out, "agent_puts_total", "counter", "Services sent to lbd.", agent.puts);
	ONE(out, "agent_deletes_total", "counter", "Services taken away from lbd.", agent.deletes);
	ONE(out, "agent_failures_total", "counter", "Such requests that failed.", agent.failures);
	metric(out, "proofs", "gauge", "Nodes by what their service proxies say.",
	       "weir_kube_proofs{state=\"proven\"} %zu\nweir_kube_proofs{state=\"unproven\"} %zu\n"
	       "weir_kube_proofs{state=\"failed\"} %zu\n",
	       probes_count(kubed, LB_KUBE_PROVEN), probes_count(kubed, LB_KUBE_UNPROVEN),
	       probes_count(kubed, LB_KUBE_FAILED));
	ONE(out, "proof_epochs_total", "counter",
	    "New ports of the witness, by which nodes show what they know.", proof_epoch(kubed));
	write_watches(kubed, out);
	write_pools(kubed, out);
}

/* --- HTTP --------------------------------------------------------------------------------------------------
 */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, char *text,
			      size_t length, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(length, text, mode);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result say_text(struct MHD_Connection *connection, unsigned int status, const char *text)
{
	return answer(connection, status, (char *)text, strlen(text), MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer_metrics(const struct kubed *kubed, struct MHD_Connection *connection)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return MHD_NO;
	write_metrics(kubed, out);
	if (fclose(out) != 0)
		return MHD_NO;
	return answer(connection, 200, text, length, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result answer_ready(const struct kubed *kubed, struct MHD_Connection *connection)
{
	if (!agent_known(kubed))
		return say_text(connection, 503, "lbd has not answered yet\n");
	if (!resources_listed(kubed))
		return say_text(connection, 503, "the API server has not been read yet\n");
	if (!kubed->swept)
		return say_text(connection, 503, "not everything has been planned for yet\n");
	return say_text(connection, 200, "ready\n");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	const struct kubed *kubed = context;

	if (strcmp(method, "GET") != 0)
		return say_text(connection, 405, "GET alone\n");
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(kubed, connection);
	if (strcmp(url, "/healthz") == 0)
		return say_text(connection, 200, "ok\n");
	if (strcmp(url, "/readyz") == 0)
		return answer_ready(kubed, connection);
	return say_text(connection, 404, "/metrics, /healthz, /readyz\n");
}

/* --- life --------------------------------------------------------------------------------------------------
 */

/* "127.0.0.1:9652", "[::1]:9652". */
static int read_place(const char *text, struct sockaddr_storage *ret_place)
{
	const char *colon = strrchr(text, ':');
	char address_text[LB_ADDRESS_TEXT_MAX];
	struct lb_address address;
	bool brackets = text[0] == '[';
	size_t length;
	long port;
	char *end;

	if (!colon || (brackets && colon[-1] != ']'))
		return -EINVAL;
	length = (size_t)(colon - text) - (brackets ? 2 : 0);
	port = strtol(colon + 1, &end, 10);
	if (length >= sizeof(address_text) || *end || port < 1 || port > 65535)
		return -EINVAL;
	snprintf(address_text, sizeof(address_text), "%.*s", (int)length, text + brackets);
	if (lb_address_parse(address_text, &address) < 0)
		return -EINVAL;
	memset(ret_place, 0, sizeof(*ret_place));
	if (address.family == LB_FAMILY_V4) {
		struct sockaddr_in *place = (struct sockaddr_in *)ret_place;

		place->sin_family = AF_INET;
		place->sin_port = htons((__u16)port);
		memcpy(&place->sin_addr, address.bytes, 4);
	} else {
		struct sockaddr_in6 *place = (struct sockaddr_in6 *)ret_place;

		place->sin6_family = AF_INET6;
		place->sin6_port = htons((__u16)port);
		memcpy(&place->sin6_addr, address.bytes, 16);
	}
	return 0;
}

int metrics_start(struct kubed *kubed)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	const union MHD_DaemonInfo *info;
	struct sockaddr_storage place;

	kubed->metrics = metrics;
	if (!metrics)
		return -ENOMEM;
	metrics->fd = -1;
	if (!kubed->options.metrics[0])
		return 0;
	if (read_place(kubed->options.metrics, &place) < 0) {
		say("--metrics must be an address and a port, like 127.0.0.1:9652, or empty");
		return -EINVAL;
	}
	metrics->daemon = MHD_start_daemon(MHD_USE_EPOLL | (place.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0),
					   0, NULL, NULL, on_request, kubed, MHD_OPTION_SOCK_ADDR, &place,
					   MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
					   MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, MHD_OPTION_END);
	info = metrics->daemon ? MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		say("Failed to listen address=%s", kubed->options.metrics);
		return -EADDRINUSE;
	}
	metrics->fd = info->epoll_fd;
	return 0;
}

void metrics_stop(struct kubed *kubed)
{
	if (kubed->metrics && kubed->metrics->daemon)
		MHD_stop_daemon(kubed->metrics->daemon);
	free(kubed->metrics);
}

int metrics_fd(const struct kubed *kubed)
{
	return kubed->metrics->fd;
}

void metrics_run(struct kubed *kubed)
{
	if (kubed->metrics->daemon)
		MHD_run(kubed->metrics->daemon);
}
