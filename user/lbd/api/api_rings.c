// SPDX-License-Identifier: GPL-2.0-only
/*
 * Digests of the rings (ring/digest.h), by which balancers of a fleet are compared: /v1/rings, /rings over
 * HTTP.
 */
#include <time.h>

#include "lbd/api/api.h"
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

/* Of every service, in no order. */
static __u64 sum_of(struct lbd *lbd, const struct lb_digest_key *key)
{
	struct lb_service_view view;
	__u64 sum = 0;

	for (size_t i = 0; lb_engine_service(lbd->engine, i, &view) == 0; i++)
		if (view.config)
			sum += lb_digest_of_service(key, view.config, view.ring_slots);
	return sum;
}

static void write_common(struct lbd *lbd, const struct lb_digest_key *key, struct json *json)
{
	json_u64(json, "hash_version", LB_HASH_VERSION);
	json_u64(json, "ring_rule", LB_RING_RULE_VERSION);
	json_format(json, "key", "%016llx", (unsigned long long)lb_digest_of_key(key));
	json_format(json, "words", "%016llx",
		    (unsigned long long)lb_digest_of_words(key, &lbd->running.words, time(NULL)));
}

void rings_write(struct lbd *lbd, struct json *json)
{
	struct lb_digest_key key;

	lb_digest_key(lbd->running.config->hash_seed, &key);
	json_object(json, "rings");
	write_common(lbd, &key, json);
	json_format(json, "digest", "%016llx", (unsigned long long)sum_of(lbd, &key));
	json_object_end(json);
}

void rings_write_all(struct lbd *lbd, struct json *json)
{
	struct lb_service_view view;
	struct lb_digest_key key;

	lb_digest_key(lbd->running.config->hash_seed, &key);
	write_common(lbd, &key, json);
	json_array(json, "services");
	for (size_t i = 0; lb_engine_service(lbd->engine, i, &view) == 0; i++)
		if (view.config)
			write_service(&key, &view, json);
	json_array_end(json);
}

int api_rings(struct api_call *call, struct lb_error *error)
{
	rings_write_all(call->lbd, call->json);
	return 0;
}
