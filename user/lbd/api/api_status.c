// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET /v1/version and /v1/status. The status is of one generation, and made in slices: with 100,000 backends
 * it takes as long as a hundred other answers.
 */
#include "lbd/api/api.h"

#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "lbd/capture/capture.h"
#include "lbd/kernel/redirect.h"
#include "lbd/announce/announce.h"
#include "lbd/stats/cores.h"
#include "lbd/announce/lan.h"
#include "lbd/api/rendering.h"
#include "lbd/api/rings.h"
#include "lbd/api/status_look.h"
#include "lbd/stats/stats.h"
#include "lbd/clock.h"
#include "lbd/state/change.h"
#include "lbd/state/drift.h"
#include "lbd/state/sources.h"
#include "lbd/state/words_json.h"
#include "lbd/kernel/host_addresses.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/kernel/offload.h"
#include "lbd/kernel/path_mtu.h"
#include "lbd/kernel/interfaces_stations.h"

/* libxdp does not say its version; the name of its file does: libxdp.so.1.3.1. */
static const char *libxdp_version(char text[PATH_MAX])
{
	const char *version;
	Dl_info info;

	if (!dladdr((void *)xdp_program__close, &info) || !info.dli_fname || !realpath(info.dli_fname, text))
		return NULL;
	version = strstr(text, ".so.");
	return version ? version + strlen(".so.") : NULL;
}

int api_version(struct api_call *call, struct lb_error *error)
{
	char text[PATH_MAX];
	struct utsname name;

	json_string(call->json, "version", lbd_version);
	json_u64(call->json, "layout", LB_LAYOUT_VERSION);
	json_u64(call->json, "hash_version", LB_HASH_VERSION);
	json_u64(call->json, "ring_rule", LB_RING_RULE_VERSION);
	json_string(call->json, "kernel", uname(&name) == 0 ? name.release : NULL);
	json_string(call->json, "libbpf", libbpf_version_string());
	json_string(call->json, "libxdp", libxdp_version(text));
	return 0;
}

static void write_interfaces(const struct lbd *lbd, struct json *json)
{
	json_array(json, "interfaces");
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		const struct attachment *attachment = &lbd->attachments[i];
		bool attached = attachment->by != ATTACHED_NOT;
		const struct lb_link *link =
			attached ? lb_nexthops_link(lbd->netlink.nexthops, attachment->ifindex)
				 : lb_nexthops_link_by_name(lbd->netlink.nexthops, attachment->wanted.name);

		json_object(json, NULL);
		json_string(json, "name", attachment->wanted.name);
		json_s64(json, "ifindex", link ? link->ifindex : 0);
		json_bool(json, "up", link && link->up);
		json_bool(json, "attached", attached);
		json_string(json, "mode", attached ? lb_xdp_mode_name(attachment->mode) : NULL);
		json_string(json, "attach",
			    !attached                               ? NULL
			    : attachment->by == ATTACHED_DISPATCHER ? "dispatcher"
								    : "exclusive");
		json_string(json, "attach_note",
			    attachment->error[0]  ? attachment->error
			    : attachment->note[0] ? attachment->note
						  : NULL);
		json_u64(json, "program_id", attachment->program_id);
		json_object_end(json);
	}
	json_array_end(json);
}

static void write_table(struct json *json, const char *key, __u64 used, __u64 size)
{
	json_object(json, key);
	json_u64(json, "used", used);
	json_u64(json, "size", size);
	json_object_end(json);
}

static void write_tables(struct lbd *lbd, struct json *json)
{
	const struct lb_table_sizes *sizes = &lbd->maps.tables.sizes;
	struct lb_engine_usage usage;

	lb_engine_get_usage(lbd->engine, &usage);
	json_object(json, "flow_table");
	json_u64(json, "entries", usage.flow_entries);
	json_u64(json, "embryonic", usage.flow_embryonic);
	json_u64(json, "capacity", (__u64)sizes->flow_buckets * LB_FLOWS_PER_BUCKET);
	json_u64(json, "bytes", (__u64)sizes->flow_buckets * sizeof(struct lb_flow_bucket));
	json_u64(json, "sweeps", usage.sweeps);
	json_object_end(json);
	json_object(json, "tables");
	write_table(json, "services", usage.services, sizes->services);
	write_table(json, "backends", usage.backends, sizes->counters);
	write_table(json, "ring_slots", (__u64)usage.ring_lines * LB_SLOTS_PER_LINE,
		    (__u64)sizes->ring_lines * LB_SLOTS_PER_LINE);
	json_object_end(json);
	json_object(json, "sweeper");
	json_double(json, "cpu_permille", lbd->sweeper.last_spent_ns / 1e6);
	json_u64(json, "cpu_permille_limit", lbd->running.config->sweeper.cpu_permille);
	json_object_end(json);
}

/* A helper that lives says something every now and then, if only that nothing has changed. */
#define SILENT_S 60u
static void warn_sources(struct lbd *lbd, struct json *json)
{
	const struct lb_config *file = desired_file(&lbd->running);

	for (size_t i = 0; i < file->n_sources; i++) {
		__u64 silent_s = source_silent_s(lbd, file->sources[i].name);

		if (silent_s >= SILENT_S)
			json_format(json, NULL, "source %s is silent for %llu s: what it said last goes on",
				    file->sources[i].name, silent_s);
	}
	if (lbd->sources.n_hidden)
		json_format(json, NULL,
			    "%zu services of sources do not run: the configuration leaves them no room "
			    "(GET /v1/sources/NAME)",
			    lbd->sources.n_hidden);
	if (lbd->sources.error[0])
		json_format(json, NULL, "what sources want does not run: %s", lbd->sources.error);
}

/* A list that was written apart. */
static void take(struct json *json, struct json *list)
{
	json->failed |= list->failed;
	json_raw(json, NULL, list->text, list->length);
	json_done(list);
}

static void write_warnings(struct lbd *lbd, struct json lists[STATUS_LISTS], struct json *json)
{
	const struct lb_config_limits *limits = &lbd->running.config->limits;
	const struct lb_table_sizes *sizes = &lbd->maps.tables.sizes;

	json_array(json, "warnings");
	if (lbd->degraded)
		json_format(json, NULL,
			    "the configuration file %s could not be used: what ran before is running",
			    lbd->options.config_file);
	drift_warn(lbd, json);
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by == ATTACHED_NOT)
			json_format(json, NULL, "not attached to %s: %s", lbd->attachments[i].wanted.name,
				    lbd->attachments[i].error[0] ? lbd->attachments[i].error
								 : "not tried yet");
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by != ATTACHED_NOT && lbd->attachments[i].renamed[0])
			json_format(json, NULL, "%s is called %s now: call it so in the configuration, too",
				    lbd->attachments[i].wanted.name, lbd->attachments[i].renamed);
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		const struct attachment *attachment = &lbd->attachments[i];
		const char *name = attachment->renamed[0] ? attachment->renamed : attachment->wanted.name;

		if (attachment->by != ATTACHED_NOT && attachment->mode == LB_XDP_GENERIC &&
		    offload_merges(name))
			json_format(json, NULL, OFFLOAD_MERGES_TEXT, name, name, name);
	}
	if (lbd->pins_error[0])
		json_format(json, NULL, "packets would not outlive lbd: %s", lbd->pins_error);
	take(json, &lists[STATUS_UNRESOLVED]);
	take(json, &lists[STATUS_LOCAL]);
	host_addresses_warn(lbd, json);
	stations_warn(lbd, json);
	lan_warn(lbd, json);
	warn_sources(lbd, json);
	cores_warn(lbd, json);
	take(json, &lists[STATUS_NARROW]);
	path_mtu_warn(lbd, json);
	take(json, &lists[STATUS_EMPTY]);
	take(json, &lists[STATUS_RING_SIZES]);
	if (lbd->netlink.table_full)
		json_string(json, NULL,
			    "the kernel's neighbour table is full: raise net.ipv4.neigh.default.gc_thresh3 "
			    "and its "
			    "IPv6 twin");
	if (lbd->sizes_pending || limits->flow_entries > (__u64)sizes->flow_buckets * LB_FLOWS_PER_BUCKET)
		json_string(
			json, NULL,
			"the tables are not as limits say: tables of other sizes could not take over when "
			"lbd started (lbctl events), which is tried again with the next change");
	if (lbd->metrics_error[0])
		json_format(json, NULL, "no metrics: %s", lbd->metrics_error);
	if (!lbd->options.socket && strcmp(lbd->socket_path, lbd->running.config->api.socket) != 0)
		json_format(json, NULL, "api.socket is now %s: it takes effect at the next start of lbd",
			    lbd->running.config->api.socket);
	json_array_end(json);
}

/* The first ones: who says what by hand, and until when. */
#define OVERRIDES_LISTED 20u
static void write_overrides(const struct lbd *lbd, struct json *json)
{
	struct lb_words first = lbd->running.words;

	if (first.n > OVERRIDES_LISTED)
		first.n = OVERRIDES_LISTED;
	words_write(&first, "override_list", true, json);
}

/* What is gathered before anything is written. */
struct status {
	struct status_look look;
	struct stats_totals totals;
};

/* Parts: the answer, and lists that go into it. */
#define LISTS 1

static void write_unsettled(const struct status_look *look, struct json *json)
{
	__u64 now_s = now_ms() / 1000;

	json_u64(json, "unsettled_slots", look->unsettled);
	if (look->since_s)
		json_u64(json, "unsettled_since_s", now_s > look->since_s ? now_s - look->since_s : 0);
	else
		json_null(json, "unsettled_since_s");
}

static void write_last_error(const struct lbd *lbd, struct json *json)
{
	if (!lbd->events.error.id) {
		json_null(json, "last_error");
		return;
	}
	json_object(json, "last_error");
	json_time(json, "time", &lbd->events.error.time);
	json_string(json, "message", lbd->events.error.message);
	json_object_end(json);
}

static void write_status(struct lbd *lbd, const struct status *status, struct json *parts)
{
	struct json *json = &parts[0];

	json_object(json, NULL);
	json_string(json, "version", lbd_version);
	json_s64(json, "pid", getpid());
	json_u64(json, "uptime_s", (now_ms() - lbd->started_ms) / 1000);
	json_u64(json, "generation", lb_engine_generation(lbd->engine));
	json_string(json, "config_file", lbd->options.config_file);
	json_string(json, "state", "running");
	write_interfaces(lbd, json);
	json_u64(json, "services", lb_engine_services(lbd->engine));
	json_u64(json, "backends", status->look.backends);
	json_u64(json, "overrides", lbd->running.words.n);
	write_overrides(lbd, json);
	drift_write(lbd, json);
	sources_write(lbd, json);
	write_unsettled(&status->look, json);
	write_tables(lbd, json);
	json_object(json, "packets");
	stats_write_totals(json, &status->totals);
	redirect_write_lost(lbd, json);
	json_object_end(json);
	redirect_write(lbd, json);
	announce_write(lbd, json);
	rings_write(lbd, status->look.rings, json);
	uneven_write(&status->look.uneven, json);
	json_u64(json, "captures", capture_count(lbd));
	write_last_error(lbd, json);
	write_warnings(lbd, &parts[LISTS], json);
	json_object_end(json);
}

/* All services; the counters of each CPU; what is written then. */
static size_t pieces(const struct lbd *lbd)
{
	return 2 + lbd->maps.tables.sizes.cpus;
}

static size_t status_step(const struct rendering_step *step)
{
	const struct lb_tables *tables = &step->lbd->maps.tables;
	struct status *status = step->state;

	if (step->piece == 0)
		return status_look(step->lbd, &status->look, step->from, &step->parts[LISTS]);
	if (step->piece <= tables->sizes.cpus)
		return stats_cpu_step(tables, (__u32)step->piece - 1, step->from, &status->totals);
	write_status(step->lbd, status, step->parts);
	return 0;
}

int api_status(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind kind = { .pieces = pieces,
						    .step = status_step,
						    .parts = LISTS + STATUS_LISTS,
						    .state_bytes = sizeof(struct status),
						    .own = true };

	return rendering_join(call->lbd, &kind, &call->answer->stream, error);
}
