// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verdicts of health and breakers: a hash table, as there may be one of each for every backend.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* uthash must neither exit nor leave a broken table when memory is short. */
#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->in_table = false)
#include <uthash.h>
#include <xxhash.h>

#include "intent/intent_verdicts.h"

static enum lb_verdict_layer layer_of(enum lb_origin origin)
{
	return origin == LB_ORIGIN_HEALTH    ? LB_LAYER_HEALTH
	       : origin == LB_ORIGIN_BREAKER ? LB_LAYER_BREAKER
					     : LB_LAYER_COUNT;
}

static const enum lb_origin origin_of[LB_LAYER_COUNT] = {
	[LB_LAYER_HEALTH] = LB_ORIGIN_HEALTH,
	[LB_LAYER_BREAKER] = LB_ORIGIN_BREAKER,
};

int lb_verdicts_new(struct lb_verdicts **ret_verdicts)
{
	struct lb_verdicts *verdicts = calloc(1, sizeof(*verdicts));

	if (!verdicts)
		return -ENOMEM;
	*ret_verdicts = verdicts;
	return 0;
}

static void drop(struct lb_verdicts *verdicts, struct lb_judged *judged)
{
	HASH_DEL(verdicts->judged, judged);
	for (size_t i = 0; i < LB_LAYER_COUNT; i++)
		free(judged->verdict[i]);
	free(judged);
}

void lb_verdicts_free(struct lb_verdicts *verdicts)
{
	struct lb_judged *judged, *next;

	if (!verdicts)
		return;
	HASH_ITER (hh, verdicts->judged, judged, next)
		drop(verdicts, judged);
	free(verdicts);
}

/* False: a name is too long to be one. */
static bool make_key(const char *service, const char *backend, struct lb_judged_key *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	if (strlen(service) >= sizeof(ret_key->service) || strlen(backend) >= sizeof(ret_key->backend))
		return false;
	memcpy(ret_key->service, service, strlen(service));
	memcpy(ret_key->backend, backend, strlen(backend));
	return true;
}

const struct lb_judged *lb_verdicts_judged(const struct lb_verdicts *verdicts, const char *service,
					   const char *backend)
{
	struct lb_judged *judged = NULL;
	struct lb_judged_key key;

	if (verdicts && make_key(service, backend, &key))
		HASH_FIND(hh, verdicts->judged, &key, sizeof(key), judged);
	return judged;
}

const struct lb_verdict *lb_verdicts_get(const struct lb_verdicts *verdicts, enum lb_origin origin,
					 const char *service, const char *backend)
{
	const struct lb_judged *judged = lb_verdicts_judged(verdicts, service, backend);

	return judged && layer_of(origin) < LB_LAYER_COUNT ? judged->verdict[layer_of(origin)] : NULL;
}

size_t lb_verdicts_count(const struct lb_verdicts *verdicts)
{
	size_t n = 0;

	for (const struct lb_judged *judged = verdicts->judged; judged; judged = judged->hh.next) {
		for (size_t i = 0; i < LB_LAYER_COUNT; i++)
			n += judged->verdict[i] != NULL;
	}
	return n;
}

void lb_verdicts_each(const struct lb_verdicts *verdicts, lb_verdict_visit *visit, void *context)
{
	for (const struct lb_judged *judged = verdicts->judged; judged; judged = judged->hh.next) {
		for (size_t i = 0; i < LB_LAYER_COUNT; i++) {
			if (judged->verdict[i])
				visit(context, origin_of[i], judged->key.service, judged->key.backend,
				      judged->verdict[i]);
		}
	}
}

/* Nothing that it says shows. */
static bool is_silent(const struct lb_verdict *verdict)
{
	return !verdict || (verdict->state == LB_STATE_ACTIVE && verdict->share == LB_SHARE_ALL);
}

static bool same_effect(const struct lb_verdict *a, const struct lb_verdict *b)
{
	if (is_silent(a) || is_silent(b))
		return is_silent(a) && is_silent(b);
	return a->state == b->state && a->share == b->share && a->check == b->check &&
	       lb_address_equal(&a->address, &b->address);
}

static struct lb_judged *add(struct lb_verdicts *verdicts, const struct lb_judged_key *key)
{
	struct lb_judged *judged = calloc(1, sizeof(*judged));

	if (!judged)
		return NULL;
	judged->key = *key;
	judged->in_table = true;
	HASH_ADD(hh, verdicts->judged, key, sizeof(judged->key), judged);
	if (judged->in_table)
		return judged;
	free(judged);
	return NULL;
}

static int take_back(struct lb_verdicts *verdicts, struct lb_judged *judged, enum lb_verdict_layer layer)
{
	int changed;

	if (!judged)
		return 0;
	changed = !is_silent(judged->verdict[layer]);
	free(judged->verdict[layer]);
	judged->verdict[layer] = NULL;
	for (size_t i = 0; i < LB_LAYER_COUNT; i++) {
		if (judged->verdict[i])
			return changed;
	}
	drop(verdicts, judged);
	return changed;
}

int lb_verdicts_set(struct lb_verdicts *verdicts, enum lb_origin origin, const char *service,
		    const char *backend, const struct lb_verdict *verdict)
{
	enum lb_verdict_layer layer = layer_of(origin);
	struct lb_judged *judged = NULL;
	struct lb_verdict *copy;
	struct lb_judged_key key;
	int changed;

	if (layer == LB_LAYER_COUNT || !make_key(service, backend, &key) ||
	    (verdict && (verdict->share > LB_SHARE_ALL || verdict->state > LB_STATE_DOWN)))
		return -EINVAL;
	HASH_FIND(hh, verdicts->judged, &key, sizeof(key), judged);
	if (!verdict)
		return take_back(verdicts, judged, layer);
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (!judged)
		judged = add(verdicts, &key);
	if (!judged) {
		free(copy);
		return -ENOMEM;
	}
	*copy = *verdict;
	changed = !same_effect(judged->verdict[layer], copy);
	free(judged->verdict[layer]);
	judged->verdict[layer] = copy;
	return changed;
}
