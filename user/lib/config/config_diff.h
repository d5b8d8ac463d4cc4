/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk over two configurations side by side, by the schema table: what differs, and what one of them says
 * that somebody has to vouch for. Every key that has a row is compared, and none is compared anywhere else.
 * Elements with a name are found by it, whatever their order; others by their place.
 */
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "config/schema.h"

enum lb_difference_kind {
	LB_DIFFERENCE_VALUE,   /* the key has another value */
	LB_DIFFERENCE_ADDED,   /* an element of a list came, or an object that may be missing */
	LB_DIFFERENCE_REMOVED, /* one went */
};

/* Valid during the call that is given it. */
struct lb_difference {
	enum lb_difference_kind kind;
	const char
		*path; /* services[web].backends[web-1].weight: elements by name, or else by place from 0 */
	const struct lb_schema_key *key; /* of the value, or of the list */
	enum lb_schema_effect effect;
	const void *base; /* of a value: what the key is a field of, in the new one */
	/* Of a value: as JSON. Secrets read "(secret)", what is not given is null. Otherwise empty. */
	const char *from, *to;
	/* Where it is: of the configuration that has it, or of the new one if both do. NULL: elsewhere. */
	const struct lb_config_service *service;
	const struct lb_config_backend *backend;
};

/* Anything but 0 ends the comparison and is what it returns. */
typedef int lb_difference_fn(void *context, const struct lb_difference *difference);

/*
 * Calls each for everything that differs, in the order of the schema and of the new configuration, what is
 * gone last. 0, -ENOMEM, or what each returned.
 */
int lb_config_diff(const struct lb_config *from, const struct lb_config *to, lb_difference_fn *each,
		   void *context);

/* Whether two services are the same in every key. -ENOMEM counts as different. */
bool lb_config_same_service(const struct lb_config_service *a, const struct lb_config_service *b);

/* The same as lb_config_diff() for two services alone; paths begin within them. */
int lb_config_diff_service(const struct lb_config_service *from, const struct lb_config_service *to,
			   lb_difference_fn *each, void *context);

/*
 * Calls each, as for a value, for every key with .vouched of to that from (NULL: it says nothing) does not
 * say alike at the same place; also within what was added.
 */
int lb_config_each_vouched(const struct lb_config *from, const struct lb_config *to, lb_difference_fn *each,
			   void *context);

/* The same of one service; paths begin with it. */
int lb_config_each_vouched_service(const struct lb_config_service *from, const struct lb_config_service *to,
				   lb_difference_fn *each, void *context);

/* Whether one key of the whole configuration, with all that is in it, is the same. name: of a row of
 * lb_schema. */
bool lb_config_same_key(const struct lb_config *a, const struct lb_config *b, const char *name);

/* "apply", "new", "service", "start", "tables", "maps": as the API says it. */
const char *lb_schema_effect_name(enum lb_schema_effect effect);
