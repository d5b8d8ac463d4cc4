// SPDX-License-Identifier: GPL-2.0-only
/*
 * /metrics: first what there is one of, then packets CPU by CPU, then the services, whose sums come last.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "engine/counts.h"
#include "health/circuit.h"
#include "lbd/announce/announce.h"
#include "lbd/clock.h"
#include "lbd/health/health.h"
#include "lbd/kernel/redirect.h"
#include "lbd/metrics/metrics.h"
#include "lbd/observe/observe_metrics.h"
#include "lbd/state/change.h"
#include "lbd/state/drift.h"
#include "lbd/state/sources.h"
#include "lbd/stats/cores.h"
#include "lbd/stats/stats.h"

struct whole {
	struct stats_totals all, cpu;
	__u64 unsettled, unsettled_since_s, draining, drained, empty;
	__u64 breakers[LB_CIRCUIT_STATE_COUNT];
};

bool metrics_wants(const struct rendering_wish *wish, const char *service)
{
	if (wish->service[0])
		return strcmp(wish->service, service) == 0;
	return wish->shards < 2 || XXH3_64bits(service, strlen(service)) % wish->shards == wish->shard;
}

bool metrics_service_at(const struct rendering_step *step, size_t first, struct lb_service_view *ret_view)
{
	struct lb_engine *engine = step->lbd->engine;
	const char *name = lb_engine_service_name(engine, step->piece - first);

	return name && metrics_wants(step->wish, name) &&
	       lb_engine_service(engine, step->piece - first, ret_view) == 0;
}

/* --- the agent -------------------------------------------------------------------------------------------
 */

static void write_build(struct json *parts)
{
	struct metric_labels labels;
	char layout[16];

	metric_labels_begin(&labels);
	metric_label(&labels, "version", lbd_version);
	snprintf(layout, sizeof(layout), "%u", LB_LAYOUT_VERSION);
	metric_label(&labels, "layout", layout);
	metric_u64(parts, METRIC_BUILD_INFO, &labels, 1);
}

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static __u64 resident_bytes(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long size, resident;

	return file && fscanf(file, "%llu %llu", &size, &resident) == 2
		       ? resident * (__u64)sysconf(_SC_PAGESIZE)
		       : 0;
}

static void write_agent(const struct lbd *lbd, struct json *parts)
{
	__u64 uptime_ms = now_ms() - lbd->started_ms;
	__s64 start_s = (__s64)time(NULL) - (__s64)(uptime_ms / 1000);
	struct rusage usage = {};

	getrusage(RUSAGE_SELF, &usage);
	write_build(parts);
	metric_u64(parts, METRIC_START_TIME, NULL, (__u64)start_s);
	metric_u64(parts, METRIC_UPTIME, NULL, uptime_ms / 1000);
	metric_double(parts, METRIC_AGENT_CPU, NULL,
		      seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime));
	metric_u64(parts, METRIC_AGENT_MEMORY, NULL, resident_bytes());
	metric_u64(parts, METRIC_GENERATION, NULL, lb_engine_generation(lbd->engine));
	metric_u64(parts, METRIC_DEGRADED, NULL, lbd->degraded);
	/* Until the first reload it is the start that read the file. */
	metric_u64(parts, METRIC_RELOAD_SUCCESS, NULL,
		   lbd->reloaded.time_s ? lbd->reloaded.ok : !lbd->degraded);
	metric_u64(parts, METRIC_RELOAD_TIME, NULL,
		   (__u64)(lbd->reloaded.time_s ? lbd->reloaded.time_s : start_s));
	metric_u64(parts, METRIC_RELOAD_SUCCESS_TIME, NULL,
		   (__u64)(lbd->reloaded.success_s ? lbd->reloaded.success_s
			   : lbd->degraded         ? 0
						   : start_s));
	metric_u64(parts, METRIC_DRIFT_KEYS, NULL, drift_keys(lbd));
	metric_u64(parts, METRIC_OVERRIDES, NULL, lbd->running.words.n);
	metric_u64(parts, METRIC_UNRESOLVED, NULL, lbd->n_unresolved);
	metric_u64(parts, METRIC_EVENTS, NULL, lbd->events.last);
	metric_u64(parts, METRIC_LOG_SUPPRESSED, NULL, log_suppressed());
	metric_u64(parts, METRIC_SCRAPES_REFUSED, NULL, lbd->scrapes_refused);
}

/* What was found otherwise than it had been left, and made good. */
static void write_repairs(const struct lbd *lbd, struct json *parts)
{
	struct metric_labels labels;

	metric_labels_begin(&labels);
	metric_u64_of(parts, METRIC_REPAIRS, &labels, "what", "link", lbd->repairs.links);
	metric_u64_of(parts, METRIC_REPAIRS, &labels, "what", "pin", lbd->repairs.pins);
	metric_u64_of(parts, METRIC_REPAIRS, &labels, "what", "socket", lbd->repairs.sockets);
}

static void write_table(struct json *parts, const char *name, __u64 used, __u64 capacity)
{
	struct metric_labels labels;

	metric_labels_begin(&labels);
	metric_label(&labels, "table", name);
	metric_u64(parts, METRIC_TABLE_USED, &labels, used);
	metric_u64(parts, METRIC_TABLE_CAPACITY, &labels, capacity);
}

static void write_tables(const struct lbd *lbd, struct json *parts)
{
	const struct lb_table_sizes *sizes = &lbd->maps.tables.sizes;
	struct lb_engine_usage usage;

	lb_engine_get_usage(lbd->engine, &usage);
	write_table(parts, "services", usage.services, sizes->services);
	write_table(parts, "backends", usage.backends, sizes->counters);
	write_table(parts, "ring_slots", (__u64)usage.ring_lines * LB_SLOTS_PER_LINE,
		    (__u64)sizes->ring_lines * LB_SLOTS_PER_LINE);
	write_table(parts, "flows", usage.flow_entries, (__u64)sizes->flow_buckets * LB_FLOWS_PER_BUCKET);
	metric_u64(parts, METRIC_FLOW_EMBRYONIC, NULL, usage.flow_embryonic);
	metric_double(parts, METRIC_SWEEPER_CPU, NULL, (double)lbd->sweeper.last_spent_ns / 1e9);
}

static void write_sources(struct lbd *lbd, struct json *parts)
{
	const struct lb_config *file = desired_file(&lbd->running);
	struct metric_labels labels;

	metric_labels_begin(&labels);
	for (size_t i = 0; file && i < file->n_sources; i++)
		metric_u64_of(parts, METRIC_SOURCE_SILENT, &labels, "source", file->sources[i].name,
			      source_silent_s(lbd, file->sources[i].name));
}

/* --- interfaces ------------------------------------------------------------------------------------------
 */

static void write_interfaces(const struct lbd *lbd, struct json *parts)
{
	struct metric_labels labels;

	for (size_t i = 0; i < lbd->n_attachments; i++) {
		const struct attachment *attachment = &lbd->attachments[i];
		bool attached = attachment->by != ATTACHED_NOT;
		char ifindex[16];

		metric_labels_begin(&labels);
		metric_label(&labels, "interface", attachment->wanted.name);
		metric_u64(parts, METRIC_INTERFACE_ATTACHED, &labels, attached);
		snprintf(ifindex, sizeof(ifindex), "%d", attachment->ifindex);
		metric_label(&labels, "ifindex", ifindex);
		metric_label(&labels, "mode", attached ? lb_xdp_mode_name(attachment->mode) : "");
		metric_label(&labels, "attach",
			     !attached                               ? ""
			     : attachment->by == ATTACHED_DISPATCHER ? "dispatcher"
								     : "exclusive");
		metric_u64(parts, METRIC_INTERFACE_INFO, &labels, 1);
	}
}

static bool is_counted(const struct redirect_sum *sums, size_t n, __u32 ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (sums[i].ifindex == ifindex)
			return true;
	return false;
}

static void write_lost(struct lbd *lbd, struct json *parts, enum redirect_way way,
		       const struct redirect_sum *sum)
{
	char name[IF_NAMESIZE], ifindex[16];
	struct metric_labels labels;

	metric_labels_begin(&labels);
	metric_label(&labels, "interface", redirect_interface(lbd, sum->ifindex, name));
	snprintf(ifindex, sizeof(ifindex), "%u", sum->ifindex);
	metric_label(&labels, "ifindex", ifindex);
	if (way == REDIRECT_ON)
		metric_u64(parts, METRIC_REDIRECT_SENT, &labels, sum->sent);
	metric_u64(parts, way == REDIRECT_ON ? METRIC_REDIRECT_LOST : METRIC_TX_LOST, &labels, sum->lost);
}

/* An interface has a port for each VLAN that packets leave by. */
static bool is_first_port(const struct lbd *lbd, size_t port)
{
	for (size_t i = 0; i < port; i++)
		if (lb_port_ifindex(lbd->maps.ports[i]) == lb_port_ifindex(lbd->maps.ports[port]))
			return false;
	return true;
}

/* Behind the packet path: by interface, what its driver took, or refused. From zero on for every interface
 * that packets may leave by. */
static void write_behind(struct lbd *lbd, struct json *parts, enum redirect_way way)
{
	size_t n;
	_cleanup_(freep) struct redirect_sum *sums = redirect_sums(lbd, way, &n);

	for (size_t i = 0; i < n; i++)
		write_lost(lbd, parts, way, &sums[i]);
	for (size_t i = 0; way == REDIRECT_ON && i < LB_PORTS_MAX; i++) {
		const struct redirect_sum none = { .ifindex = lb_port_ifindex(lbd->maps.ports[i]) };

		if (none.ifindex && !is_counted(sums, n, none.ifindex) && is_first_port(lbd, i))
			write_lost(lbd, parts, way, &none);
	}
	for (size_t i = 0; way == REDIRECT_TX && i < lbd->n_attachments; i++) {
		const struct redirect_sum none = { .ifindex = (__u32)lbd->attachments[i].ifindex };

		if (none.ifindex && !is_counted(sums, n, none.ifindex))
			write_lost(lbd, parts, way, &none);
	}
}

/* --- packets ---------------------------------------------------------------------------------------------
 */

static void write_packets(struct json *parts, enum metric metric, struct metric_labels *labels,
			  const struct stats_totals *totals)
{
	metric_u64_of(parts, metric, labels, "what", "rx", totals->rx);
	metric_u64_of(parts, metric, labels, "what", "tx", totals->tx);
	metric_u64_of(parts, metric, labels, "what", "redirect", totals->redirect);
	metric_u64_of(parts, metric, labels, "what", "pass", totals->pass);
	metric_u64_of(parts, metric, labels, "what", "drop", totals->drop);
}

static void write_reasons(const struct lbd *lbd, struct json *parts)
{
	struct metric_labels labels;

	for (const struct reason_text *text = reason_texts; text->name; text++) {
		struct lb_reason_counter sum;

		stats_reason(&lbd->maps.tables, text->number, &sum);
		metric_labels_begin(&labels);
		metric_label(&labels, "reason", text->name);
		metric_label(&labels, "action", reason_action_name(text->action));
		metric_u64(parts, METRIC_REASON_PACKETS, &labels, sum.packets);
	}
}

static size_t cpu_step(const struct rendering_step *step, __u32 cpu)
{
	const struct lb_tables *tables = &step->lbd->maps.tables;
	struct whole *whole = step->state;
	struct metric_labels labels;
	char number[16];
	size_t next;

	next = stats_cpu_step(tables, cpu, step->from, &whole->cpu);
	if (next)
		return next;
	stats_add_totals(&whole->all, &whole->cpu);
	metric_labels_begin(&labels);
	snprintf(number, sizeof(number), "%u", cpu);
	metric_label(&labels, "cpu", number);
	write_packets(step->parts, METRIC_CPU_PACKETS, &labels, &whole->cpu);
	whole->cpu = (struct stats_totals){};
	return 0;
}

/* What is not in our tables, of all CPUs. */
static void write_cpus(const struct lbd *lbd, struct json *parts)
{
	static const char *const classes[LB_POLL_CLASSES] = LB_POLL_CLASS_NAMES;
	struct cores_sample cores = cores_sample(lbd);
	struct metric_labels labels;
	char number[24];

	for (size_t cpu = 0; cpu < cores.n; cpu++) {
		metric_labels_begin(&labels);
		snprintf(number, sizeof(number), "%zu", cpu);
		metric_label(&labels, "cpu", number);
		metric_u64(parts, METRIC_CPU_LOST, &labels, cores.lost[cpu]);
		metric_u64(parts, METRIC_CPU_SQUEEZED, &labels, cores.softnet[cpu].squeezed);
		metric_u64(parts, METRIC_CPU_BACKLOG_DROPPED, &labels, cores.softnet[cpu].backlog_dropped);
		if (!cores.polls_counted)
			continue;
		metric_u64(parts, METRIC_CPU_POLLED, &labels, cores.polls[cpu].packets);
		metric_u64(parts, METRIC_CPU_FULL_POLLS, &labels, cores.polls[cpu].full);
		for (__u32 i = 0; i < LB_POLL_CLASSES; i++)
			metric_u64_of(parts, METRIC_CPU_POLLS, &labels, "packets", classes[i],
				      cores.polls[cpu].polls[i]);
	}
	metric_double(parts, METRIC_CPU_IMBALANCE, NULL, cores_ratio(lbd));
	cores_sample_free(&cores);
}

/* --- services --------------------------------------------------------------------------------------------
 */

static void write_service_info(const struct lb_service_view *view, struct metric_labels *labels,
			       struct json *parts)
{
	const struct lb_config_service *config = view->config;
	char vip[LB_PREFIX_TEXT_MAX], port[16];
	size_t length = labels->length;

	if (!config)
		return;
	if (config->port_first == config->port_last)
		snprintf(port, sizeof(port), "%u", config->port_first);
	else if (config->port_first == 0 && config->port_last == 65535)
		snprintf(port, sizeof(port), "any");
	else
		snprintf(port, sizeof(port), "%u-%u", config->port_first, config->port_last);
	metric_label(labels, "vip", lb_prefix_text(&config->vip, vip));
	metric_label(labels, "protocol", config->protocol == IPPROTO_TCP ? "tcp" : "udp");
	metric_label(labels, "port", port);
	metric_label(labels, "forward", lb_forward_name(config->forward));
	metric_label(labels, "source", config->source[0] ? config->source : "file");
	metric_u64(parts, METRIC_SERVICE_INFO, labels, 1);
	metric_labels_cut(labels, length);
}

static void look_at(struct whole *whole, const struct lb_service_view *view, size_t eligible)
{
	whole->empty += eligible == 0;
	if (view->lead)
		return;
	whole->unsettled += view->unsettled_slots;
	if (view->unsettled_since_s &&
	    (!whole->unsettled_since_s || view->unsettled_since_s < whole->unsettled_since_s))
		whole->unsettled_since_s = view->unsettled_since_s;
	for (size_t i = 0; i < view->n_backends; i++) {
		whole->draining += view->backends[i].draining;
		whole->drained += view->backends[i].draining && view->backends[i].drained;
	}
}

static void service_step(const struct rendering_step *step, const struct lb_service_view *view)
{
	const struct lb_tables *tables = &step->lbd->maps.tables;
	struct lb_totals sum, came = {};
	size_t configured = 0, eligible = 0;
	struct whole *whole = step->state;
	struct json *parts = step->parts;
	struct metric_labels labels;

	lb_counts_gone(tables, view->id, &sum);
	for (size_t i = 0; i < view->n_backends; i++) {
		if (!view->sharers)
			lb_counts_add(tables, view->backends[i].id, &sum);
		configured += !view->backends[i].leaving;
		eligible += view->backends[i].slots_cur > 0;
	}
	/* Where services share a ring, its backends are of all of them. */
	if (view->sharers) {
		stats_service(tables, view->id, &came);
#define X(A, total, TOTAL, unit, kept, metric, column, help) sum.total += came.total;
		LB_TOTALS_FIRST(X, )
#undef X
	}
	look_at(whole, view, eligible);
	metric_labels_begin(&labels);
	metric_label(&labels, "service", view->name);
	write_service_info(view, &labels, parts);
#define X(A, total, TOTAL, unit, kept, metric, column, help)                                                 \
	metric_u64(parts, METRIC_SERVICE_##TOTAL, &labels, sum.total);
	LB_TOTALS_FIRST(X, )
#undef X
	metric_u64(parts, METRIC_SERVICE_BACKENDS, &labels, configured);
	metric_u64(parts, METRIC_SERVICE_ELIGIBLE, &labels, eligible);
	metric_u64(parts, METRIC_SERVICE_UNSETTLED, &labels, view->unsettled_slots);
	health_metrics_service(step->lbd, view->name, &labels, whole->breakers, parts);
}

/* --- all -------------------------------------------------------------------------------------------------
 */

static void write_first(const struct rendering_step *step)
{
	struct lbd *lbd = step->lbd;
	struct json *parts = step->parts;

	metric_heads(parts, METRIC_SCOPE_WHOLE, step->wish->openmetrics);
	metric_heads(parts, METRIC_SCOPE_SERVICE, step->wish->openmetrics);
	write_agent(lbd, parts);
	write_repairs(lbd, parts);
	write_tables(lbd, parts);
	write_sources(lbd, parts);
	write_interfaces(lbd, parts);
	write_behind(lbd, parts, REDIRECT_ON);
	write_behind(lbd, parts, REDIRECT_TX);
	write_reasons(lbd, parts);
	write_cpus(lbd, parts);
	announce_metrics(lbd, parts);
	health_metrics_whole(lbd, parts);
	observe_metrics_whole(lbd, parts);
}

static void write_last(const struct rendering_step *step)
{
	const struct whole *whole = step->state;
	struct metric_labels labels;
	__u64 now_s = now_ms() / 1000;

	metric_labels_begin(&labels);
	write_packets(step->parts, METRIC_PACKETS, &labels, &whole->all);
	metric_u64(step->parts, METRIC_BYTES, NULL, whole->all.bytes);
	metric_u64(step->parts, METRIC_REFUSED_INSERTS, NULL, whole->all.refused);
	metric_u64(step->parts, METRIC_UNSETTLED, NULL, whole->unsettled);
	metric_u64(step->parts, METRIC_UNSETTLED_SECONDS, NULL,
		   whole->unsettled_since_s && now_s > whole->unsettled_since_s
			   ? now_s - whole->unsettled_since_s
			   : 0);
	metric_u64(step->parts, METRIC_DRAINING, NULL, whole->draining);
	metric_u64(step->parts, METRIC_DRAINED, NULL, whole->drained);
	metric_u64(step->parts, METRIC_EMPTY_SERVICES, NULL, whole->empty);
	for (int i = 0; i < LB_CIRCUIT_STATE_COUNT; i++)
		metric_u64_of(step->parts, METRIC_BREAKER_BACKENDS, &labels, "state",
			      lb_circuit_state_name((enum lb_circuit_state)i), whole->breakers[i]);
	metric_end(step->parts, step->wish->openmetrics);
}

static size_t pieces(const struct lbd *lbd)
{
	return 1 + lbd->maps.tables.sizes.cpus + lb_engine_services(lbd->engine) + 1;
}

static size_t step_whole(const struct rendering_step *step)
{
	size_t cpus = step->lbd->maps.tables.sizes.cpus;
	struct lb_service_view view;

	if (step->piece == 0)
		write_first(step);
	else if (step->piece <= cpus)
		return cpu_step(step, (__u32)step->piece - 1);
	else if (step->piece == pieces(step->lbd) - 1)
		write_last(step);
	else if (metrics_service_at(step, 1 + cpus, &view))
		service_step(step, &view);
	return 0;
}

const struct rendering_kind metrics_whole = {
	.pieces = pieces,
	.step = step_whole,
	.parts = METRIC_PARTS,
	.state_bytes = sizeof(struct whole),
	.readers_max = METRICS_READERS_MAX,
};
