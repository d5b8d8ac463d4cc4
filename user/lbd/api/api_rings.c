// SPDX-License-Identifier: GPL-2.0-only
/*
 * Digests of the rings (ring/digest.h), by which balancers of a fleet are compared: /v1/rings, /rings over
 * HTTP.
 */
#include <time.h>

#include "lbd/api/api.h"
#include "lbd/api/rendering.h"
#include "lbd/api/rings.h"
#include "ring/digest.h"

static void write_service(const struct lb_digest_key *key, const struct lb_service_view *view,
			  struct json *json)
{
	json_object(json, NULL);
	json_string(json, "name", view->name);
	json_u64(json, "ring_size", view->ring_slots);
	json_format(json, "digest", "%016llx",
		    (unsigned long long)lb_digest_of_service(key, view->config, view->ring_slots));
	json_object_end(json);
}

static void write_common(struct lbd *lbd, const struct lb_digest_key *key, struct json *json)
{
	json_u64(json, "hash_version", LB_HASH_VERSION);
	json_u64(json, "ring_rule", LB_RING_RULE_VERSION);
	json_format(json, "key", "%016llx", (unsigned long long)lb_digest_of_key(key));
	json_format(json, "words", "%016llx",
		    (unsigned long long)lb_digest_of_words(key, &lbd->running.words, time(NULL)));
}

bool rings_known(const struct lbd *lbd, __u64 *ret_sum)
{
	if (lbd->rings.generation != lb_engine_generation(lbd->engine) ||
	    lbd->rings.taken_over != lbd->taken_over)
		return false;
	*ret_sum = lbd->rings.sum;
	return true;
}

void rings_know(struct lbd *lbd, __u64 sum)
{
	lbd->rings.generation = lb_engine_generation(lbd->engine);
	lbd->rings.taken_over = lbd->taken_over;
	lbd->rings.sum = sum;
}

__u64 rings_digest(const struct lbd *lbd, const struct lb_service_view *view)
{
	struct lb_digest_key key;

	lb_digest_key(lbd->running.config->hash_seed, &key);
	return lb_digest_of_service(&key, view->config, view->ring_slots);
}

void rings_write(struct lbd *lbd, __u64 sum, struct json *json)
{
	struct lb_digest_key key;

	lb_digest_key(lbd->running.config->hash_seed, &key);
	json_object(json, "rings");
	write_common(lbd, &key, json);
	json_format(json, "digest", "%016llx", (unsigned long long)sum);
	json_object_end(json);
}

static size_t pieces(const struct lbd *lbd)
{
	return lb_engine_services(lbd->engine) + 2;
}

static void piece(struct lbd *lbd, size_t at, struct json *json)
{
	struct lb_service_view view;
	struct lb_digest_key key;

	lb_digest_key(lbd->running.config->hash_seed, &key);
	if (at == 0) {
		json_object(json, NULL);
		write_common(lbd, &key, json);
		json_array(json, "services");
	} else if (at == pieces(lbd) - 1) {
		json_array_end(json);
		json_object_end(json);
	} else if (lb_engine_service(lbd->engine, at - 1, &view) == 0 && view.config) {
		write_service(&key, &view, json);
	}
}

int rings_join(struct lbd *lbd, struct http_stream **ret_stream, struct lb_error *error)
{
	static const struct rendering_kind kind = { .pieces = pieces, .piece = piece };

	return rendering_join(lbd, &kind, ret_stream, error);
}

int api_rings(struct api_call *call, struct lb_error *error)
{
	return rings_join(call->lbd, &call->answer->stream, error);
}
