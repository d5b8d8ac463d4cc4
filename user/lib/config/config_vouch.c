// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two questions: of the keys that the file must vouch for, which the walk over the schema finds
 * (config_diff.h), and of the checks as they are put together of all levels, for whom they ask.
 */
#include "config/config_vouch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_diff.h"
#include "config/config_levels.h"
#include "config/config_read.h"

/* A path of the deepest key, with names of full length. */
#define PATH_MAX_BYTES (2 * LB_NAME_MAX + 128)

/* What the file says. */
struct said {
	const struct lb_schema_key *key;
	char *value; /* as JSON */
};

struct target {
	struct lb_address address;
	__u32 port;
};

struct vouching {
	struct said *said; /* sorted; owned */
	size_t n_said, room_said;
	struct target *targets; /* sorted; owned */
	size_t n_targets, room_targets;
	struct lb_error *error;
};

/* --- values ----------------------------------------------------------------------------------------------
 */

static int compare_said(const void *a, const void *b)
{
	const struct said *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return strcmp(x->value, y->value);
}

static int compare_targets(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	int r = memcmp(&x->address, &y->address, sizeof(x->address));

	return r ? r : (x->port > y->port) - (x->port < y->port);
}

static bool is_default(const struct lb_schema_key *key, const void *base)
{
	char text[LB_SCHEMA_TEXT_MAX] = "";

	if (!lb_schema_given(key, base))
		return true;
	if (key->inherits)
		return false;
	if (key->type != LB_SCHEMA_STRING)
		return lb_schema_load((const char *)base + key->offset, key->size) == key->value;
	key->format->print((const char *)base + key->offset, text, sizeof(text));
	return key->text && strcmp(text, key->text) == 0;
}

static int refuse(struct vouching *v, const char *path, const char *value, const char *what)
{
	return lb_error_at(
		v->error, EPERM, path, value,
		"%s %s: a request may not say so unless the configuration file does: write it there "
		"first",
		path, what);
}

static int judge_value(void *context, const struct lb_difference *found)
{
	struct vouching *v = context;
	const struct said wanted = { found->key, (char *)found->to };

	if (is_default(found->key, found->base) ||
	    (v->n_said && bsearch(&wanted, v->said, v->n_said, sizeof(*v->said), compare_said)))
		return 0;
	return refuse(v, found->path, found->to, "names a file, a program or another host");
}

/* Room for one more of what has n. */
static int make_room(void *all, size_t size, size_t n, size_t *room)
{
	void *more;

	if (n < *room)
		return 0;
	*room = *room ? 2 * *room : 16;
	more = realloc(*(void **)all, *room * size);
	if (!more)
		return -ENOMEM;
	*(void **)all = more;
	return 0;
}

static int note_value(void *context, const struct lb_difference *found)
{
	struct vouching *v = context;

	if (is_default(found->key, found->base))
		return 0;
	if (make_room(&v->said, sizeof(*v->said), v->n_said, &v->room_said) < 0)
		return -ENOMEM;
	v->said[v->n_said] = (struct said){ found->key, strdup(found->to) };
	return v->said[v->n_said].value ? (v->n_said++, 0) : -ENOMEM;
}

/* --- targets ---------------------------------------------------------------------------------------------
 */

static bool says_whom(const struct lb_config_check *check)
{
	return check && check->address.family;
}

/* Whom a backend's check asks. False: itself, because nobody says otherwise. */
static bool target_of(const struct lb_config *config, const struct lb_config_service *service,
		      const struct lb_config_backend *backend, struct target *ret_target)
{
	struct lb_config_check check;

	if (!says_whom(config->health.check) && !says_whom(service->health.check) &&
	    !says_whom(backend->check))
		return false;
	lb_config_check_of(config, service, backend, &check);
	/* The VIP is asked at the backend itself. */
	if (check.target == LB_CHECK_TARGET_VIP)
		return false;
	*ret_target = (struct target){ .address = check.address, .port = check.port };
	return true;
}

static bool is_own(const struct lb_config_service *service, const struct lb_address *address)
{
	for (size_t i = 0; i < service->n_backends; i++) {
		if (lb_address_equal(&service->backends[i].address, address))
			return true;
	}
	return false;
}

static const struct lb_config_service *find_service(const struct lb_config *config, const char *name)
{
	for (size_t i = 0; config && i < config->n_services; i++) {
		if (strcmp(config->services[i].name, name) == 0)
			return &config->services[i];
	}
	return NULL;
}

/* Whether it was asked for this backend before. */
static bool was_asked(const struct lb_config *runs, const struct lb_config_service *service, const char *name,
		      const struct target *target)
{
	struct target before;

	for (size_t i = 0; service && i < service->n_backends; i++) {
		if (strcmp(service->backends[i].name, name) == 0)
			return target_of(runs, service, &service->backends[i], &before) &&
			       compare_targets(&before, target) == 0;
	}
	return false;
}

static int judge_targets(struct vouching *v, const struct lb_config *next,
			 const struct lb_config_service *service, const struct lb_config *runs)
{
	const struct lb_config_service *before = find_service(runs, service->name);
	char address[LB_ADDRESS_TEXT_MAX], path[PATH_MAX_BYTES];

	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_config_backend *backend = &service->backends[i];
		struct target target;

		if (!target_of(next, service, backend, &target) || is_own(service, &target.address) ||
		    was_asked(runs, before, backend->name, &target) ||
		    (v->n_targets &&
		     bsearch(&target, v->targets, v->n_targets, sizeof(target), compare_targets)))
			continue;
		snprintf(path, sizeof(path), "services[%s].backends[%s].check.address", service->name,
			 backend->name);
		return refuse(v, path, lb_address_text(&target.address, address),
			      "has somebody asked who is no backend of the service");
	}
	return 0;
}

static int note_target(struct vouching *v, const struct target *target)
{
	if (make_room(&v->targets, sizeof(*target), v->n_targets, &v->room_targets) < 0)
		return -ENOMEM;
	v->targets[v->n_targets++] = *target;
	return 0;
}

static int note_targets(struct vouching *v, const struct lb_config *file,
			const struct lb_config_service *service)
{
	struct target target;
	int r = 0;

	for (size_t i = 0; r == 0 && i < service->n_backends; i++) {
		if (target_of(file, service, &service->backends[i], &target))
			r = note_target(v, &target);
	}
	return r;
}

/* At the top it is for whatever service comes: the file has to say the same there. */
static int judge_top(struct vouching *v, const struct lb_config *next, const struct lb_config *file)
{
	const struct lb_config_check *check = next->health.check;
	const struct lb_config_check *said = file ? file->health.check : NULL;
	char address[LB_ADDRESS_TEXT_MAX];

	if (!says_whom(check) || (says_whom(said) && lb_address_equal(&said->address, &check->address) &&
				  said->port == check->port))
		return 0;
	return refuse(v, "health.check.address", lb_address_text(&check->address, address),
		      "has somebody asked who is no backend of the service");
}

/* --- all of it -------------------------------------------------------------------------------------------
 */

static void forget(struct vouching *v)
{
	for (size_t i = 0; i < v->n_said; i++)
		free(v->said[i].value);
	free(v->said);
	free(v->targets);
}

/* What the file vouches for. */
static int gather(struct vouching *v, const struct lb_config *file)
{
	int r = file ? lb_config_each_vouched(NULL, file, note_value, v) : 0;

	for (size_t i = 0; file && r == 0 && i < file->n_services; i++)
		r = note_targets(v, file, &file->services[i]);
	if (v->n_said)
		qsort(v->said, v->n_said, sizeof(*v->said), compare_said);
	if (v->n_targets)
		qsort(v->targets, v->n_targets, sizeof(*v->targets), compare_targets);
	return r < 0 ? lb_error_set(v->error, ENOMEM, "out of memory") : 0;
}

int lb_config_vouch(const struct lb_config *next, const struct lb_config *file, struct lb_error *error)
{
	_cleanup_(forget) struct vouching v = { .error = error };
	int r = gather(&v, file);

	if (r == 0)
		r = lb_config_each_vouched(NULL, next, judge_value, &v);
	if (r == 0)
		r = judge_top(&v, next, file);
	for (size_t i = 0; r == 0 && i < next->n_services; i++)
		r = judge_targets(&v, next, &next->services[i], NULL);
	return r;
}

int lb_config_vouch_service(const struct lb_config *next, const char *service, const struct lb_config *runs,
			    const struct lb_config *file, struct lb_error *error)
{
	_cleanup_(forget) struct vouching v = { .error = error };
	const struct lb_config_service *wanted = find_service(next, service);
	int r = wanted ? gather(&v, file) : 0;

	if (r < 0 || !wanted)
		return r;
	r = lb_config_each_vouched_service(find_service(runs, service), wanted, judge_value, &v);
	return r < 0 ? r : judge_targets(&v, next, wanted, runs);
}
