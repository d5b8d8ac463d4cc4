// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sources as they are heard and shown.
 */
#include "lbd/state/sources.h"

#include <string.h>
#include <time.h>

#include "lbd/api/json.h"
#include "lbd/clock.h"
#include "lbd/lbd.h"
#include "lbd/state/change.h"
#include "lbd/state/sources_store.h"

int sources_start(struct lbd *lbd)
{
	return sources_load(&lbd->store, &lbd->sources.list);
}

void sources_done(struct lbd *lbd)
{
	lb_sources_done(&lbd->sources.list);
}

void sources_changed(struct lbd *lbd)
{
	lbd->sources.pending = true;
	change_wanted(lbd, LB_CAUSE_SOURCE);
}

/* The entry of a source, made if need be; one of a source that is listed no more makes room. */
static struct source_heard *heard_of(struct lbd *lbd, const char *name)
{
	struct source_heard *heard = lbd->sources.heard, *free_one = NULL;

	for (size_t i = 0; i < LB_SOURCES_MAX; i++) {
		if (strcmp(heard[i].name, name) == 0)
			return &heard[i];
		if (!free_one && !lb_source_named(desired_file(&lbd->running), heard[i].name))
			free_one = &heard[i];
	}
	/* There are as many as sources can be listed. */
	memset(free_one, 0, sizeof(*free_one));
	snprintf(free_one->name, sizeof(free_one->name), "%s", name);
	free_one->heard_ms = now_ms();
	return free_one;
}

void sources_heard(struct lbd *lbd, const char *name, __u64 revision, const char *whole)
{
	struct source_heard *heard = heard_of(lbd, name);

	heard->heard_ms = now_ms();
	heard->heard_s = time(NULL);
	if (!revision && !whole)
		return;
	heard->revision = revision;
	memset(heard->whole, 0, sizeof(heard->whole));
	if (whole)
		memcpy(heard->whole, whole, sizeof(heard->whole));
}

bool sources_is_last_whole(struct lbd *lbd, const char *name, const char *whole)
{
	return strcmp(heard_of(lbd, name)->whole, whole) == 0;
}

__u64 source_silent_s(struct lbd *lbd, const char *name)
{
	return (now_ms() - heard_of(lbd, name)->heard_ms) / 1000;
}

static void write_services(const struct lb_sources *list, size_t first, size_t n, struct json *json)
{
	json_array(json, "service_list");
	for (size_t i = first; i < first + n; i++) {
		const struct lb_source_service *service = list->all[i];
		char vip[LB_PREFIX_TEXT_MAX];

		json_object(json, NULL);
		json_string(json, "name", service->service.name);
		json_string(json, "vip", lb_prefix_text(&service->service.vip, vip));
		json_u64(json, "revision", service->revision);
		json_u64(json, "backends", service->service.n_backends);
		json_bool(json, "hidden", service->hidden);
		json_object_end(json);
		task_pause();
	}
	json_array_end(json);
}

void source_write(struct lbd *lbd, const struct lb_config_source *source, bool services, struct json *json)
{
	const struct lb_sources *list = &lbd->sources.list;
	const struct source_heard *heard = heard_of(lbd, source->name);
	const struct timespec time = { .tv_sec = heard->heard_s };
	size_t first, n = lb_sources_of(list, source->name, &first), backends = 0, hidden = 0;

	for (size_t i = first; i < first + n; i++) {
		backends += list->all[i]->service.n_backends;
		hidden += list->all[i]->hidden;
	}
	json_string(json, "name", source->name);
	json_u64(json, "uid", source->uid);
	json_u64(json, "revision", heard->revision);
	json_u64(json, "services", n);
	json_u64(json, "services_max", source->max_services);
	json_u64(json, "backends", backends);
	json_u64(json, "backends_max", source->max_backends);
	json_u64(json, "hidden", hidden);
	if (heard->heard_s)
		json_time(json, "heard", &time);
	else
		json_null(json, "heard");
	json_u64(json, "silent_s", source_silent_s(lbd, source->name));
	json_bool(json, "pending", lbd->sources.pending);
	json_string(json, "error", lbd->sources.error[0] ? lbd->sources.error : NULL);
	if (services)
		write_services(list, first, n, json);
}

void sources_write(struct lbd *lbd, struct json *json)
{
	const struct lb_config *file = desired_file(&lbd->running);

	json_array(json, "sources");
	for (size_t i = 0; i < file->n_sources; i++) {
		json_object(json, NULL);
		source_write(lbd, &file->sources[i], false, json);
		json_object_end(json);
	}
	json_array_end(json);
}
