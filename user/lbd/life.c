// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of the agent: what to run at start (the file, or what ran before), in which order things are taken
 * and given back.
 */
#include "lbd/life.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/announce/announce.h"
#include "lbd/api/api.h"
#include "lbd/api/http.h"
#include "lbd/api/metrics.h"
#include "lbd/capture/capture.h"
#include "lbd/capture/explain.h"
#include "lbd/clock.h"
#include "lbd/health/health.h"
#include "lbd/kernel/host_addresses.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/kernel/interfaces_stations.h"
#include "lbd/kernel/maps_set.h"
#include "lbd/kernel/migrate.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/kernel/path_mtu.h"
#include "lbd/kernel/redirect.h"
#include "lbd/stats/cores.h"
#include "lbd/lbd.h"
#include "lbd/log.h"
#include "lbd/notify.h"
#include "lbd/observe/observe.h"
#include "lbd/state/change.h"
#include "lbd/state/config_file.h"
#include "lbd/state/drift.h"
#include "lbd/state/replan.h"
#include "lbd/stats/drain.h"
#include "lbd/step.h"
#include "lbd/kernel/attach.h"
#include "lbd/kernel/check_path.h"
#include "lbd/sweeper.h"
#include "lbd/state/intent.h"
#include "lbd/state/intent_change.h"
#include "lbd/state/sources.h"
#include "lbd/verify.h"

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

/* --- what to run -----------------------------------------------------------------------------------------
 */

static int desired_from_file(struct lbd *lbd, const char *text, size_t length, struct desired *ret_desired,
			     struct lb_error *error)
{
	int r = desired_from_text(lbd, text, length, ret_desired, error);

	if (r == -EINVAL) {
		struct lb_config *config = NULL;
		struct lb_error placed = {};

		/* The same again, for the message with file, line and column. */
		if (lb_config_parse_file(lbd->options.config_file, text, length, &config, &placed) == -EINVAL)
			*error = placed;
		lb_config_free(config);
	}
	if (r == 0 && lb_config_check_commands(ret_desired->config, error) < 0) {
		desired_done(ret_desired);
		r = lb_error_at(error, EINVAL, error->path, error->value, "%s: %s", lbd->options.config_file,
				error->text);
	}
	if (r == 0)
		memcpy(ret_desired->file_digest, ret_desired->digest, sizeof(ret_desired->digest));
	return r;
}

/* The overrides of a record, whatever becomes of its configuration. */
static int take_overrides(struct lbd *lbd, struct desired *desired, const struct record *record,
			  struct lb_error *error)
{
	struct lb_words words;

	if (lb_words_copy(&record->words, &words) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	lb_words_done(&desired->words);
	desired->words = words;
	lb_words_bound(&desired->words, intent_now_s(lbd));
	return 0;
}

static int desired_from_record(struct lbd *lbd, const struct record *record, const char *text, size_t length,
			       struct desired *ret_desired, struct lb_error *error)
{
	struct desired desired = {};
	int r = desired_from_text(lbd, text, length, &desired, error);

	if (r == 0)
		r = take_overrides(lbd, &desired, record, error);
	if (r < 0) {
		desired_done(&desired);
		return r;
	}
	memcpy(desired.file_digest, record->file_digest, sizeof(record->file_digest));
	*ret_desired = desired;
	return 0;
}

/* A configuration that ran once, where the one of the newest record is lost. */
static int older_text(struct lbd *lbd, char **ret_text, size_t *ret_length)
{
	struct record *records = NULL;
	size_t n = 0;
	int r = store_list(&lbd->store, &records, &n, NULL);

	if (r == 0)
		r = -ENOENT;
	for (size_t i = 0; i < n && r < 0; i++)
		r = store_get_config(&lbd->store, records[i].config, ret_text, ret_length, NULL);
	records_free(records, n);
	return r;
}

/* What ran before becomes what "runs". Where its configuration is lost, only its overrides do: 0, and
 * lbd->running.config is NULL. file (may be NULL): the configuration file's text. */
static int restore(struct lbd *lbd, const struct record *newest, const char *file, size_t file_length,
		   const char *file_digest, struct lb_error *error)
{
	char quoted[EVENTS_QUOTED_MAX];
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r;

	if (file && strcmp(file_digest, newest->config) == 0)
		return desired_from_record(lbd, newest, file, file_length, &lbd->running, error);
	r = store_get_config(&lbd->store, newest->config, &text, &length, error);
	if (r == 0)
		r = desired_from_record(lbd, newest, text, length, &lbd->running, error);
	if (r == 0 || r == -ENOMEM)
		return r;
	events_add(&lbd->events, LOG_LEVEL_ERROR, "state", "error=\"%s\" action=\"going on with %s\"",
		   events_quoted(error->text, quoted),
		   file ? "the configuration file" : "an older configuration");
	free(text);
	text = NULL;
	if (!file && older_text(lbd, &text, &length) == 0)
		return desired_from_record(lbd, newest, text, length, &lbd->running, error);
	return take_overrides(lbd, &lbd->running, newest, error);
}

/* The newest record becomes what "runs", for what is taken over from it (overrides). */
static int choose(struct lbd *lbd, const struct record *newest, struct desired *ret_desired,
		  const char **ret_why, struct lb_error *error)
{
	char quoted[EVENTS_QUOTED_MAX];
	_cleanup_(freep) char *text = NULL;
	struct lb_error stored = {};
	char digest[STORE_DIGEST] = "";
	size_t length = 0;
	int file = config_file_read(lbd->options.config_file, &text, &length, error), r;

	if (file == 0)
		store_digest(text, length, digest);
	if (newest) {
		r = restore(lbd, newest, file == 0 ? text : NULL, length, digest, &stored);
		if (r < 0) {
			*error = stored;
			return r;
		}
	}
	if (file == 0 && lbd->running.config && strcmp(digest, newest->file_digest) == 0) {
		*ret_why = "as it ran before";
		return desired_copy(&lbd->running, ret_desired, error);
	}
	if (file == 0)
		file = desired_from_file(lbd, text, length, ret_desired, error);
	if (file == 0) {
		*ret_why = newest ? "configuration file, which has changed" : "configuration file";
		return 0;
	}
	if (!lbd->running.config)
		return file;
	events_add(&lbd->events, LOG_LEVEL_ERROR, "start",
		   "error=\"%s\"%s%s action=\"going on with what ran before\"",
		   events_quoted(error->text, quoted), error->path[0] ? " key=" : "", error->path);
	lbd->degraded = true;
	*ret_why = "as it ran before, because the configuration file cannot be used";
	return desired_copy(&lbd->running, ret_desired, error);
}

/* --- start -----------------------------------------------------------------------------------------------
 */

/* Tables are made, or adopted, before anybody else looks at them. */
struct opening {
	struct lbd *lbd;
	const struct lb_table_sizes *sizes;
	__u64 generation;
	struct lb_engine *engine;
	int r;
	struct lb_error *error;
};

static void open_maps_beside(void *context)
{
	struct opening *opening = context;
	struct lbd *lbd = opening->lbd;

	opening->r = migrate_older(lbd, opening->sizes, opening->error);
	if (opening->r == 0)
		opening->r = maps_open(&lbd->maps, opening->sizes, lbd->options.chunked_tables,
				       opening->generation, opening->error);
}

static void open_engine_beside(void *context)
{
	struct opening *opening = context;
	struct lbd *lbd = opening->lbd;

	opening->r = lb_engine_new(&lbd->maps.tables, &lbd->hooks, &opening->engine, opening->error);
}

static int open_tables(struct lbd *lbd, const struct lb_config *config, __u64 generation,
		       struct lb_error *error)
{
	struct lb_table_sizes sizes;
	struct opening opening;
	struct sysinfo info;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0 || sysinfo(&info) < 0)
		return lb_error_set(error, EIO, "Failed to learn about the machine's CPUs and memory");
	lb_engine_sizes(config, cpus, (__u64)info.totalram * info.mem_unit, &sizes);
	opening = (struct opening){ .lbd = lbd, .sizes = &sizes, .generation = generation, .error = error };
	task_beside(open_maps_beside, &opening);
	if (opening.r < 0)
		return opening.r;
	if (nexthops_init(lbd) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	task_beside(open_engine_beside, &opening);
	if (opening.r < 0)
		return opening.r;
	lbd->engine = opening.engine;
	memset(lbd->maps.tables.control->version, 0, sizeof(lbd->maps.tables.control->version));
	snprintf(lbd->maps.tables.control->version, sizeof(lbd->maps.tables.control->version), "%s",
		 lbd_version);
	return 0;
}

/* New maps: tables first, then packets. Adopted ones: packets flow already, so the program is brought up to
 * date before tables say what only it understands. */
static int first_commit(struct lbd *lbd, struct desired *next, const char *why, struct lb_error *error)
{
	struct change change = { .cause = why, .kind = "start", .starting = true };
	int r = 0;

	if (!lbd->maps.created)
		r = migrate_attach(lbd, next->config, error);
	migration_forget(lbd);
	if (r == 0)
		r = change_make(lbd, next, &change, NULL, error);
	if (r == 0 && lbd->maps.created)
		r = interfaces_attach(lbd, lbd->running.config, error);
	if (r == 0)
		interfaces_trim(lbd, lbd->running.config);
	return r;
}

/* What the configuration names; the rest listens already. */
static int open_listeners(struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	int r = lbd->api ? 0 : verify_socket_open(lbd, config->api.socket, error);

	if (r == 0)
		metrics_update(lbd, config->api.metrics);
	return r;
}

static int open_monitor(struct lbd *lbd, struct lb_error *error)
{
	struct http_handler handler;
	int fd;

	if (!lbd->options.monitor_socket)
		return 0;
	fd = http_listen_unix(lbd->options.monitor_socket, 0666, NULL, error);
	if (fd < 0)
		return fd;
	api_monitor_handler(lbd, &handler);
	return http_new(lbd->event, fd, &handler, &lbd->monitor, error);
}

static int start(struct lbd *lbd, const struct record *newest, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	const char *why = "";
	int r = choose(lbd, newest, &next, &why, error);

	if (newest) {
		lbd_recorded(lbd, newest);
	}
	if (r == 0)
		r = open_listeners(lbd, next.config, error);
	lbd->starting = "tables are opened";
	if (r == 0)
		r = netlink_open(&lbd->netlink, lbd->event, lbd->tasks, replan_nexthops_changed, lbd, error);
	if (r == 0)
		r = open_tables(lbd, next.config, newest ? newest->generation : 0, error);
	if (r == 0)
		redirect_open(lbd);
	if (r == 0)
		r = health_open(lbd, intent_judge, error);
	lbd->starting = "the configuration is made to run";
	if (r == 0)
		r = first_commit(lbd, &next, why, error);
	/* What was recorded anew is copied already. */
	if (r == 0 && newest && lbd->recorded_generation == newest->generation &&
	    lbd->store.stamp_ms == newest->stamp_ms)
		store_settle(&lbd->store, newest);
	if (r == 0)
		r = announce_open(lbd, error);
	if (r == 0)
		r = observe_open(lbd, error);
	if (r < 0)
		return r;
	r = sweeper_start(lbd);
	if (r >= 0)
		r = verify_start(lbd);
	if (r >= 0)
		r = intent_start(lbd);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to start the clock: %s", strerror(-r));
	return 0;
}

/* A start that failed leaves no pins behind that it made, unless packets use them. */
static void give_up(struct lbd *lbd)
{
	bool in_use = attachments_any(&lbd->maps);

	for (size_t i = 0; i < lbd->n_attachments; i++)
		in_use |= lbd->attachments[i].by != ATTACHED_NOT;
	migrate_undo(lbd);
	if (!in_use)
		maps_undo(&lbd->maps);
}

static void on_state(void *context, const char *text)
{
	struct lbd *lbd = context;

	events_told(&lbd->events, LOG_LEVEL_WARNING, "state", "text", text);
}

static int open_state(struct lbd *lbd, struct lb_error *error)
{
	struct store *store = &lbd->store;
	int r;

	store->step = step_reached;
	store->beside = task_beside;
	store->tell = on_state;
	store->context = lbd;
	snprintf(store->bpffs, sizeof(store->bpffs), "%s", lbd->maps.directory);
	r = store_open(store, lbd->options.state_directory, error);
	if (r == 0)
		events_open(&lbd->events, store->fd);
	return r;
}

static int recover(struct lbd *lbd, struct record *ret_newest, struct lb_error *error)
{
	if (sources_start(lbd) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	return store_recover(&lbd->store, maps_generation(&lbd->maps), ret_newest, error);
}

static void ready(struct lbd *lbd)
{
	int unused;

	lbd->starting = NULL;
	log_notice("event=ready version=%s pid=%d generation=%llu services=%zu socket=%s start_ms=%llu",
		   lbd_version, getpid(), lb_engine_generation(lbd->engine), lb_engine_services(lbd->engine),
		   lbd->socket_path, now_ms() - lbd->started_ms);
	lbd_notify_status(lbd);
	/* Unless it has been told to stop meanwhile. */
	if (sd_event_get_exit_code(lbd->event, &unused) == -ENODATA)
		sd_notify(0, "READY=1");
}

static void on_start(void *context)
{
	struct lbd *lbd = context;
	struct record newest = {};
	int r = recover(lbd, &newest, &lbd->start_error);

	if (r >= 0)
		r = start(lbd, r ? &newest : NULL, &lbd->start_error);
	record_done(&newest);
	if (r >= 0) {
		ready(lbd);
		return;
	}
	give_up(lbd);
	lbd->start_result = r;
	sd_event_exit(lbd->event, 1);
}

int lbd_start(struct lbd *lbd, struct lb_error *error)
{
	int r;

	lbd->started_ms = now_ms();
	lbd->starting = "the state directory is read";
	lbd->store.fd = lbd->store.lock_fd = lbd->maps.directory_fd = lbd->program_fd = -1;
	capture_init(lbd);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	r = tasks_open(&lbd->tasks, lbd->event);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to start the thread of tasks: %s", strerror(-r));
	r = maps_lock(&lbd->maps, lbd->options.bpffs, error);
	if (r == 0)
		r = open_state(lbd, error);
	/* Two agents that use the same are told apart by now. */
	if (r == 0 && lbd->options.socket)
		r = verify_socket_open(lbd, lbd->options.socket, error);
	if (r == 0)
		r = open_monitor(lbd, error);
	if (r < 0)
		give_up(lbd);
	else
		task_call(lbd->tasks, &lbd->task.start, on_start, lbd);
	return r;
}

int lbd_read_file(struct lbd *lbd, struct desired *ret_desired, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = config_file_read(lbd->options.config_file, &text, &length, error);

	return r < 0 ? r : desired_from_file(lbd, text, length, ret_desired, error);
}

void lbd_reloaded(struct lbd *lbd, int r, const char *who, const struct lb_error *error)
{
	char text[EVENTS_QUOTED_MAX];

	lbd->reloaded.time_s = time(NULL);
	lbd->reloaded.ok = r == 0;
	if (r == 0)
		lbd->reloaded.success_s = lbd->reloaded.time_s;
	if (r < 0) {
		events_add(&lbd->events, LOG_LEVEL_ERROR, "reload", "changed=no error=\"%s\"%s%s%s",
			   events_quoted(error->text, text), error->path[0] ? " key=" : "", error->path, who);
		return;
	}
	lbd->degraded = false;
	lbd_notify_status(lbd);
}

static void reload(void *context)
{
	struct lbd *lbd = context;
	_cleanup_(desired_donep) struct desired next = {};
	static const struct change change = { .cause = "reload of the configuration file",
					      .kind = "reload",
					      .from_file = true,
					      .logs_plan = true };
	struct lb_error error = {};
	int r = lbd_read_file(lbd, &next, &error);

	if (r == 0)
		r = change_make(lbd, &next, &change, NULL, &error);
	lbd_reloaded(lbd, r, " signal=HUP", &error);
	sd_notify(0, "READY=1");
}

void lbd_reload(struct lbd *lbd)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", now_ms() * 1000);
	task_call(lbd->tasks, &lbd->task.reload, reload, lbd);
}

void lbd_stop(struct lbd *lbd, bool detach)
{
	struct lb_error error = {};

	tasks_end(lbd->tasks);
	sweeper_stop(lbd);
	observe_close(lbd);
	announce_close(lbd);
	verify_stop(lbd);
	capture_stop_all(lbd, "the agent stops", true);
	health_close(lbd);
	http_free(lbd->api);
	if (lbd->monitor)
		unlink(lbd->options.monitor_socket);
	http_free(lbd->monitor);
	verify_socket_remove(lbd);
	metrics_close(lbd);
	lbd->wanted = sd_event_source_disable_unref(lbd->wanted);
	interfaces_close(lbd);
	migration_forget(lbd);
	explain_program_free(lbd->explain);
	lbd->explain = NULL;
	host_addresses_done(lbd);
	stations_done(lbd);
	cores_close(lbd);
	redirect_close(lbd);
	path_mtu_done(lbd);
	lb_engine_free(lbd->engine);
	nexthops_done(lbd);
	if (detach && (attachments_remove_all(&lbd->maps, &error) < 0 || maps_unpin(&lbd->maps, &error) < 0))
		log_error("event=detach error=\"%s\"", error.text);
	if (lbd->netlink.nexthops)
		netlink_close(&lbd->netlink);
	grace_close(&lbd->grace);
	maps_close(&lbd->maps);
	intent_done(lbd);
	sources_done(lbd);
	drift_done(lbd);
	desired_done(&lbd->running);
	store_close(&lbd->store);
	drain_forget_all(lbd);
	events_done(&lbd->events);
	tasks_free(lbd->tasks);
}

static int take_off(struct maps *maps, const struct lbd_options *options, struct lb_error *error)
{
	char path[PATH_MAX + 16];
	int r = maps_set_recover(maps, error);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/lb_control", options->bpffs);
	if (maps->swapping) {
		_cleanup_(closep) int former = bpf_obj_get(path);

		maps->former_id = map_id_of(former);
		snprintf(path, sizeof(path), "%.*s/lb_control", PATH_MAX, maps->pins);
	}
	maps->fd[MAP_CONTROL] = bpf_obj_get(path);
	r = attachments_remove_all(maps, error);
	check_path_down(NULL);
	if (r < 0)
		return r;
	log_info("event=detach interfaces=%d bpffs=%s", r, options->bpffs);
	return maps_unpin(maps, error);
}

int lbd_detach_locked(struct maps *maps, const struct lbd_options *options, struct lb_error *error)
{
	int r = take_off(maps, options, error);

	maps_close(maps);
	return r;
}

int lbd_detach(const struct lbd_options *options, struct lb_error *error)
{
	struct maps maps;
	int r = maps_lock(&maps, options->bpffs, error);

	return r < 0 ? r : lbd_detach_locked(&maps, options, error);
}
