// SPDX-License-Identifier: GPL-2.0-only
/*
 * The services of sources: kept and judged.
 */
#include "intent/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "intent/claims.h"

#define WINDOW_S 60

static void service_free(struct lb_source_service *service)
{
	if (!service)
		return;
	lb_config_service_done(&service->service);
	free(service);
}

void lb_sources_done(struct lb_sources *sources)
{
	for (size_t i = 0; i < sources->n; i++)
		service_free(sources->all[i]);
	free(sources->all);
	memset(sources, 0, sizeof(*sources));
}

static size_t place_of(const struct lb_sources *sources, const char *source, const char *name)
{
	size_t low = 0, high = sources->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct lb_config_service *service = &sources->all[middle]->service;
		int r = strcmp(service->source, source);

		if (r == 0)
			r = strcmp(service->name, name);
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t lb_sources_of(const struct lb_sources *sources, const char *source, size_t *ret_first)
{
	size_t first = place_of(sources, source, ""), end = first;

	while (end < sources->n && strcmp(sources->all[end]->service.source, source) == 0)
		end++;
	*ret_first = first;
	return end - first;
}

struct lb_source_service *lb_sources_find(const struct lb_sources *sources, const char *source,
					  const char *name)
{
	size_t place = place_of(sources, source, name);

	if (place == sources->n || strcmp(sources->all[place]->service.source, source) != 0 ||
	    strcmp(sources->all[place]->service.name, name) != 0)
		return NULL;
	return sources->all[place];
}

const struct lb_config_source *lb_source_named(const struct lb_config *file, const char *name)
{
	for (size_t i = 0; i < file->n_sources; i++)
		if (strcmp(file->sources[i].name, name) == 0)
			return &file->sources[i];
	return NULL;
}

const struct lb_config_source *lb_source_of_uid(const struct lb_config *file, __u32 uid)
{
	for (size_t i = 0; i < file->n_sources; i++)
		if (file->sources[i].uid == uid)
			return &file->sources[i];
	return NULL;
}

/* --- what it may -----------------------------------------------------------------------------------------
 */

/* Of those that take new flows. */
static __u64 usable_weight(const struct lb_config_service *service)
{
	__u64 weight = 0;

	for (size_t i = 0; i < service->n_backends; i++)
		if (service->backends[i].state == LB_STATE_ACTIVE)
			weight += service->backends[i].weight;
	return weight;
}

bool lb_source_may_claim(const struct lb_config_source *source, const struct lb_prefix *vip)
{
	for (size_t i = 0; i < source->n_vips; i++)
		if (vip->length >= source->vips[i].prefix.length &&
		    lb_prefix_contains(&source->vips[i].prefix, &vip->address))
			return true;
	return false;
}

static bool same_content(const struct lb_config_service *a, const struct lb_config_service *b)
{
	struct lb_config_service x = *a, y = *b;

	x.backends = y.backends = NULL;
	x.source_ranges = y.source_ranges = NULL;
	memset(x.source, 0, sizeof(x.source));
	memset(y.source, 0, sizeof(y.source));
	return memcmp(&x, &y, sizeof(x)) == 0 &&
	       (!a->n_source_ranges || memcmp(a->source_ranges, b->source_ranges,
					      a->n_source_ranges * sizeof(*a->source_ranges)) == 0) &&
	       (!a->n_backends ||
		memcmp(a->backends, b->backends, a->n_backends * sizeof(*a->backends)) == 0);
}

/* The weight that losses are measured against: of when the minute began, or what it is now. */
static __u64 reference_weight(const struct lb_source_service *have, __s64 now_s)
{
	bool running = have->window_s && now_s - have->window_s < WINDOW_S;
	__u64 now = usable_weight(&have->service);

	return running && have->window_weight > now ? have->window_weight : now;
}

/* 0, or -EDQUOT: more than the source may take away would be gone. next NULL: all of it. */
static int judge_loss(const struct lb_source_service *have, const struct lb_config_service *next,
		      const struct lb_source_put *put, struct lb_error *error)
{
	__u64 before = reference_weight(have, put->now_s), after = next ? usable_weight(next) : 0;

	if (put->exceed || have->hidden || after >= before ||
	    (before - after) * 100 <= before * put->source->max_loss_percent)
		return 0;
	return lb_error_at(error, EDQUOT, have->service.name, NULL,
			   "service \"%s\" would lose %llu of its usable weight of %llu within a minute, and "
			   "%s may take away %u %%: the old stays; say allow_loss=1 if it is meant",
			   have->service.name, before - after, before, put->source->name,
			   put->source->max_loss_percent);
}

static int judge_revision(const struct lb_source_service *have, const struct lb_config_service *next,
			  const struct lb_source_put *put, struct lb_error *error)
{
	/* After a relist the whole counts as it is. */
	if (put->whole || put->revision > have->revision ||
	    (put->revision == have->revision && next && same_content(&have->service, next)))
		return 0;
	return lb_error_at(error, ESTALE, have->service.name, NULL,
			   "service \"%s\" is there with revision %llu, this is revision %llu",
			   have->service.name, have->revision, put->revision);
}

/* By name, for looking up whether a service is among many. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **names_of(const struct lb_source_put *put)
{
	const char **names = calloc(put->services->n_services + 1, sizeof(*names));

	for (size_t i = 0; names && i < put->services->n_services; i++)
		names[i] = put->services->services[i].name;
	if (names)
		qsort(names, put->services->n_services, sizeof(*names), compare_names);
	return names;
}

static bool is_named(const char **names, size_t n, const char *name)
{
	return bsearch(&name, names, n, sizeof(*names), compare_names);
}

static int judge_limits(const struct lb_sources *sources, const struct lb_source_put *put, const char **names,
			struct lb_error *error)
{
	size_t services = put->services->n_services, backends = 0, first;
	size_t n = lb_sources_of(sources, put->source->name, &first);

	for (size_t i = 0; i < services; i++)
		backends += put->services->services[i].n_backends;
	for (size_t i = first; !put->whole && i < first + n; i++) {
		const struct lb_config_service *service = &sources->all[i]->service;

		if (is_named(names, put->services->n_services, service->name))
			continue;
		services++;
		backends += service->n_backends;
	}
	if (services > put->source->max_services)
		return lb_error_set(error, EPERM, "%s may have %u services, and these would be %zu",
				    put->source->name, put->source->max_services, services);
	if (backends > put->source->max_backends)
		return lb_error_set(error, EPERM, "%s may have %u backends, and these would be %zu",
				    put->source->name, put->source->max_backends, backends);
	return 0;
}

/* Everybody else's services, then the new ones. */
static int judge_claims(const struct lb_sources *sources, const struct lb_source_put *put, const char **names,
			struct lb_error *error)
{
	_cleanup_(claims_freep) struct claims *claims =
		claims_new(put->file->n_services + sources->n + put->services->n_services);
	char why[CLAIM_WHY_MAX];
	const char *text;

	if (!claims)
		return lb_error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < put->file->n_services; i++)
		claims_take(claims, &put->file->services[i], why);
	for (size_t i = 0; i < sources->n; i++) {
		const struct lb_source_service *other = sources->all[i];
		bool own = strcmp(other->service.source, put->source->name) == 0;

		if (other->hidden || !lb_source_named(put->file, other->service.source) ||
		    (own && (put->whole || is_named(names, put->services->n_services, other->service.name))))
			continue;
		claims_take(claims, &other->service, why);
	}
	for (size_t i = 0; i < put->services->n_services; i++) {
		text = claims_take(claims, &put->services->services[i], why);
		if (text)
			return lb_error_at(error, EPERM, put->services->services[i].name, NULL,
					   "service \"%s\": %s", put->services->services[i].name, text);
	}
	return 0;
}

static int judge_each(const struct lb_sources *sources, const struct lb_source_put *put,
		      struct lb_error *error)
{
	for (size_t i = 0; i < put->services->n_services; i++) {
		const struct lb_config_service *next = &put->services->services[i];
		const struct lb_source_service *have =
			lb_sources_find(sources, put->source->name, next->name);
		char text[LB_PREFIX_TEXT_MAX];
		int r;

		if (!lb_source_may_claim(put->source, &next->vip))
			return lb_error_at(error, EPERM, next->name, lb_prefix_text(&next->vip, text),
					   "service \"%s\" claims the vip %s, which %s may not: its vips are "
					   "in the configuration file",
					   next->name, lb_prefix_text(&next->vip, text), put->source->name);
		if (next->ring[0])
			return lb_error_at(
				error, EPERM, next->name, next->ring,
				"service \"%s\" gives a ring: only services of the configuration file "
				"share rings; leave it out",
				next->name);
		if (!have)
			continue;
		r = judge_revision(have, next, put, error);
		if (r == 0)
			r = judge_loss(have, next, put, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A whole takes away what it does not name. */
static int judge_absent(const struct lb_sources *sources, const struct lb_source_put *put, const char **names,
			struct lb_error *error)
{
	size_t first, n = lb_sources_of(sources, put->source->name, &first);
	int r = 0;

	for (size_t i = first; put->whole && r == 0 && i < first + n; i++)
		if (!is_named(names, put->services->n_services, sources->all[i]->service.name))
			r = judge_loss(sources->all[i], NULL, put, error);
	return r;
}

int lb_sources_judge(const struct lb_sources *sources, const struct lb_source_put *put,
		     struct lb_error *error)
{
	_cleanup_(freep) const char **names = names_of(put);
	int r;

	if (!names)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = judge_limits(sources, put, names, error);
	if (r == 0)
		r = judge_each(sources, put, error);
	if (r == 0)
		r = judge_absent(sources, put, names, error);
	if (r == 0)
		r = judge_claims(sources, put, names, error);
	return r;
}

int lb_sources_judge_delete(const struct lb_sources *sources, const struct lb_source_put *put,
			    const char *name, struct lb_error *error)
{
	const struct lb_source_service *have = lb_sources_find(sources, put->source->name, name);
	int r;

	if (!have)
		return lb_error_at(error, ESRCH, "service", name, "%s has no service \"%s\"",
				   put->source->name, name);
	r = judge_revision(have, NULL, put, error);
	return r < 0 ? r : judge_loss(have, NULL, put, error);
}

/* --- making it so ----------------------------------------------------------------------------------------
 */

static int make_room(struct lb_sources *sources, size_t more)
{
	size_t room = sources->n + more;
	struct lb_source_service **all;

	if (room <= sources->room)
		return 0;
	room += room / 2;
	all = realloc(sources->all, room * sizeof(struct lb_source_service *));
	if (!all)
		return -ENOMEM;
	sources->all = all;
	sources->room = room;
	return 0;
}

static void remove_at(struct lb_sources *sources, size_t place)
{
	service_free(sources->all[place]);
	sources->n--;
	memmove(&sources->all[place], &sources->all[place + 1],
		(sources->n - place) * sizeof(struct lb_source_service *));
}

/* A loss opens the minute in which the next ones are added to it. */
static void note_loss(struct lb_source_service *have, const struct lb_config_service *next, __s64 now_s)
{
	__u64 before = usable_weight(&have->service);

	if (usable_weight(next) >= before || (have->window_s && now_s - have->window_s < WINDOW_S))
		return;
	have->window_s = now_s ? now_s : 1;
	have->window_weight = before;
}

static void take_content(struct lb_source_service *have, struct lb_config_service *next, const char *source)
{
	lb_config_service_done(&have->service);
	have->service = *next;
	lb_config_service_moved(next);
	memset(have->service.source, 0, sizeof(have->service.source));
	memcpy(have->service.source, source, strlen(source));
}

/* Whether the same packets are claimed. */
static bool same_claim(const struct lb_config_service *a, const struct lb_config_service *b)
{
	return memcmp(&a->vip, &b->vip, sizeof(a->vip)) == 0 && a->protocol == b->protocol &&
	       a->port_first == b->port_first && a->port_last == b->port_last;
}

/* Whether anything changed. spare: taken if it is needed. */
static bool put_one(struct lb_sources *sources, const struct lb_source_put *put,
		    struct lb_config_service *next, struct lb_source_service **spare)
{
	size_t place = place_of(sources, put->source->name, next->name);
	struct lb_source_service *have = lb_sources_find(sources, put->source->name, next->name);

	if (have && same_content(&have->service, next)) {
		have->dirty |= have->revision != put->revision;
		have->revision = put->revision;
		return false;
	}
	if (!have) {
		have = *spare;
		*spare = NULL;
		memmove(&sources->all[place + 1], &sources->all[place],
			(sources->n - place) * sizeof(struct lb_source_service *));
		sources->all[place] = have;
		sources->n++;
	} else {
		note_loss(have, next, put->now_s);
	}
	sources->reshaped |= !have->service.name[0] || !same_claim(&have->service, next);
	take_content(have, next, put->source->name);
	have->revision = put->revision;
	have->dirty = have->unplanned = true;
	return true;
}

static size_t remove_absent(struct lb_sources *sources, const struct lb_source_put *put, const char **names)
{
	size_t first, n = lb_sources_of(sources, put->source->name, &first), removed = 0, kept = first;

	for (size_t i = first; i < first + n; i++) {
		if (is_named(names, put->services->n_services, sources->all[i]->service.name)) {
			sources->all[kept++] = sources->all[i];
			continue;
		}
		service_free(sources->all[i]);
		removed++;
	}
	memmove(&sources->all[kept], &sources->all[first + n],
		(sources->n - first - n) * sizeof(struct lb_source_service *));
	sources->n -= removed;
	sources->reshaped |= removed > 0;
	return removed;
}

static void spares_free(struct lb_source_service **spares, size_t n)
{
	for (size_t i = 0; spares && i < n; i++)
		free(spares[i]);
	free(spares);
}

int lb_sources_put(struct lb_sources *sources, struct lb_source_put *put)
{
	size_t n = put->services->n_services, changed = 0, i;
	struct lb_source_service **spares = calloc(n + 1, sizeof(struct lb_source_service *));
	_cleanup_(freep) const char **names = names_of(put);

	for (i = 0; spares && i < n && (spares[i] = calloc(1, sizeof(struct lb_source_service)));)
		i++;
	if (!spares || i < n || !names || make_room(sources, n) < 0) {
		spares_free(spares, n);
		return -ENOMEM;
	}
	if (put->whole)
		changed += remove_absent(sources, put, names);
	for (i = 0; i < n; i++)
		changed += put_one(sources, put, &put->services->services[i], &spares[i]);
	spares_free(spares, n);
	return (int)changed;
}

void lb_sources_delete(struct lb_sources *sources, const char *source, const char *name)
{
	if (!lb_sources_find(sources, source, name))
		return;
	remove_at(sources, place_of(sources, source, name));
	sources->reshaped = true;
}

size_t lb_sources_forget(struct lb_sources *sources, const struct lb_config *file,
			 void (*told)(void *context, const struct lb_source_service *service), void *context)
{
	size_t kept = 0, n = sources->n;

	for (size_t i = 0; i < n; i++) {
		if (lb_source_named(file, sources->all[i]->service.source)) {
			sources->all[kept++] = sources->all[i];
			continue;
		}
		if (told)
			told(context, sources->all[i]);
		service_free(sources->all[i]);
	}
	sources->n = kept;
	return n - kept;
}
