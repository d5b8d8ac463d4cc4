// SPDX-License-Identifier: GPL-2.0-only
/*
 * What runs of the services of sources: merged behind those of the file, or, where they have only changed
 * within, put in their old places.
 */
#include "intent/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "intent/claims.h"

/* --- all of them -----------------------------------------------------------------------------------------
 */

/* What each source has used up of what it may have. */
struct used {
	size_t services, backends;
};

/* Why a service cannot run; NULL: it can. */
static const char *refusal(const struct lb_source_service *service, const struct lb_config_source *source,
			   struct used *used, struct claims *claims, char why[CLAIM_WHY_MAX])
{
	if (!lb_source_may_claim(source, &service->service.vip))
		return "its vip is not one that the source may claim";
	if (used->services >= source->max_services ||
	    used->backends + service->service.n_backends > source->max_backends)
		return "the source has more than it may have";
	return claims_take(claims, &service->service, why);
}

static int merge_all(const struct lb_sources *sources, const struct lb_config *file, struct claims *claims,
		     struct lb_config *merged)
{
	struct used used[LB_SOURCES_MAX] = {};

	for (size_t i = 0; i < sources->n; i++) {
		const struct lb_source_service *service = sources->all[i];
		const struct lb_config_source *source = lb_source_named(file, service->service.source);
		struct used *mine = source ? &used[source - file->sources] : NULL;
		char why[CLAIM_WHY_MAX];
		const char *text;

		if (!source)
			continue;
		text = refusal(service, source, mine, claims, why);
		if (text)
			continue;
		mine->services++;
		mine->backends += service->service.n_backends;
		if (lb_config_service_copy(&service->service, &merged->services[merged->n_services]) < 0)
			return -ENOMEM;
		merged->n_services++;
	}
	return 0;
}

int lb_sources_merge(const struct lb_sources *sources, const struct lb_config *file,
		     struct lb_config **ret_merged)
{
	_cleanup_(claims_freep) struct claims *claims = claims_new(file->n_services + sources->n);
	_cleanup_(lb_config_freep) struct lb_config *merged = NULL;
	struct lb_config_service *services;
	char why[CLAIM_WHY_MAX];

	if (!claims || lb_config_copy(file, &merged) < 0)
		return -ENOMEM;
	services = realloc(merged->services, (file->n_services + sources->n + 1) * sizeof(*services));
	if (!services)
		return -ENOMEM;
	merged->services = services;
	for (size_t i = 0; i < file->n_services; i++)
		claims_take(claims, &file->services[i], why);
	if (merge_all(sources, file, claims, merged) < 0)
		return -ENOMEM;
	*ret_merged = merged;
	merged = NULL;
	return 0;
}

/* --- some of them ----------------------------------------------------------------------------------------
 */

static size_t n_of_file(const struct lb_config *running)
{
	size_t n = 0;

	while (n < running->n_services && !running->services[n].source[0])
		n++;
	return n;
}

/* Whether every service of the sources is where it is looked for. */
static bool is_in_place(const struct lb_sources *sources, const struct lb_config *running, size_t first)
{
	if (sources->reshaped || running->n_services - first != sources->n)
		return false;
	for (size_t i = 0; i < sources->n; i++) {
		const struct lb_config_service *service = &running->services[first + i];

		if (sources->all[i]->unplanned &&
		    (strcmp(service->name, sources->all[i]->service.name) != 0 ||
		     strcmp(service->source, sources->all[i]->service.source) != 0))
			return false;
	}
	return true;
}

int lb_sources_patch(const struct lb_sources *sources, const struct lb_config *running,
		     struct lb_config **ret_patched)
{
	size_t first = n_of_file(running);
	struct lb_config *patched;

	if (!is_in_place(sources, running, first))
		return -EAGAIN;
	if (lb_config_share(running, &patched) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sources->n; i++) {
		struct lb_config_service *service = &patched->services[first + i];

		if (!sources->all[i]->unplanned)
			continue;
		if (lb_config_service_copy(&sources->all[i]->service, service) < 0) {
			lb_config_unshare(patched, running);
			return -ENOMEM;
		}
	}
	*ret_patched = patched;
	return 0;
}

void lb_sources_planned(struct lb_sources *sources)
{
	sources->reshaped = false;
	for (size_t i = 0; i < sources->n; i++)
		sources->all[i]->unplanned = false;
}

size_t lb_sources_mark(struct lb_sources *sources, const struct lb_config *running)
{
	size_t at = 0, hidden = 0;

	while (at < running->n_services && !running->services[at].source[0])
		at++;
	for (size_t i = 0; i < sources->n; i++) {
		struct lb_source_service *service = sources->all[i];
		const struct lb_config_service *next =
			at < running->n_services ? &running->services[at] : NULL;

		service->hidden = !next || strcmp(next->source, service->service.source) != 0 ||
				  strcmp(next->name, service->service.name) != 0;
		at += !service->hidden;
		hidden += service->hidden;
	}
	return hidden;
}
