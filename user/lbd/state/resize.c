// SPDX-License-Identifier: GPL-2.0-only
/*
 * See resize.h.
 */
#include "lbd/state/resize.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "engine/engine.h"
#include "lbd/api/json.h"
#include "lbd/kernel/migrate.h"
#include "lbd/lbd.h"

static __u64 memory_bytes(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : (__u64)info.totalram * info.mem_unit;
}

/* After a start that could not, or that does not know what ran: what is said, whatever was said before. */
static const struct lb_config *said_before(const struct lbd *lbd)
{
	static const struct lb_config nothing;

	return lbd->sizes_pending || !lbd->running.config ? &nothing : lbd->running.config;
}

static void put_off(struct lbd *lbd, const struct lb_error *error)
{
	events_told(&lbd->events, LOG_LEVEL_ERROR, "tables", "error", error->text);
	lbd->sizes_pending = true;
}

static int begin(struct lbd *lbd, struct resize *resize, struct lb_error *error)
{
	int r = migrate_check_memory(lbd, &resize->to, &resize->bytes, error);

	return r < 0 ? r : lb_engine_resize(lbd->engine, &resize->to, error);
}

int resize_begin(struct lbd *lbd, const struct desired *next, bool starting, struct resize *ret_resize,
		 struct lb_error *error)
{
	struct resize resize = { .from = lbd->maps.tables.sizes };
	int r = 0;

	*ret_resize = resize;
	resize.wanted = lb_engine_sizes_next(said_before(lbd), next->config, resize.from.cpus, memory_bytes(),
					     &resize.from, &resize.to);
	if (!resize.wanted) {
		lbd->sizes_pending = false;
		return 0;
	}
	lb_engine_hold(lbd->engine, true);
	r = begin(lbd, &resize, error);
	if (r == 0) {
		*ret_resize = resize;
		return 0;
	}
	lb_engine_hold(lbd->engine, false);
	if (!starting || r == -ENOMEM)
		return r;
	put_off(lbd, error);
	return 0;
}

bool resize_failed(struct lbd *lbd, const struct resize *resize, const struct lb_error *error)
{
	if (!resize->wanted || resize->made)
		return false;
	put_off(lbd, error);
	return true;
}

int resize_make(struct lbd *lbd, const struct desired *next, struct resize *resize, struct lb_error *error)
{
	int r = 0;

	if (!resize->wanted)
		return 0;
	/* A full disk is met before anything has changed. */
	if (next->text)
		r = store_put_config(&lbd->store, next->text, next->length, next->digest, error);
	if (r == 0)
		r = migrate(lbd, &resize->to, error);
	resize->made = r == 0;
	/* The kernel has no room for tables of that size: no failure of ours. */
	return r == -ENOMEM || r == -E2BIG ? -ENOSPC : r;
}

void resize_end(struct lbd *lbd, struct resize *resize)
{
	struct lb_error error = {};

	if (!resize->wanted)
		return;
	if (!resize->made && lb_engine_resize(lbd->engine, &resize->from, &error) < 0)
		events_told(&lbd->events, LOG_LEVEL_ERROR, "tables", "error", error.text);
	if (resize->made)
		lbd->sizes_pending = false;
	lb_engine_hold(lbd->engine, false);
	migration_forget(lbd);
}

static void write_sizes(const struct lb_table_sizes *sizes, const char *name, struct json *json)
{
	json_object(json, name);
	json_u64(json, "services", sizes->services);
	json_u64(json, "backends", sizes->counters);
	json_u64(json, "backend_records", sizes->backends);
	json_u64(json, "ring_slots", (__u64)sizes->ring_lines * LB_SLOTS_PER_LINE);
	json_u64(json, "flow_entries", (__u64)sizes->flow_buckets * LB_FLOWS_PER_BUCKET);
	json_object_end(json);
}

void resize_write(const struct resize *resize, struct json *json)
{
	if (!resize->wanted)
		return;
	json_object(json, "tables");
	write_sizes(&resize->from, "from", json);
	write_sizes(&resize->to, "to", json);
	json_u64(json, "bytes_beside", resize->bytes);
	json_object_end(json);
}
