/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health in the agent: which checks there are, what lb-checkd says of them, and the verdicts that follow. The
 * machines that decide are in user/lib/health. A verdict changes the plan and nothing else: it is no
 * configuration, and is not recorded as one.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "lbd/api/json.h"
#include "base/address.h"
#include "base/error.h"
#include "intent/intent.h"

struct lbd;

/* Whom verdicts are told to: intent_judge(). */
typedef int health_judge(struct lbd *lbd, enum lb_origin origin, const char *service, const char *backend,
			 const struct lb_verdict *verdict);

/* Before the first commit: what was known when the agent stopped. 0 or -errno. */
int health_open(struct lbd *lbd, health_judge *judge, struct lb_error *error);
void health_close(struct lbd *lbd);

/* After a commit: other services, backends or checks may be configured. */
void health_configure(struct lbd *lbd);

/* After a commit: the operator may say something else of breakers. */
void health_heed(struct lbd *lbd);

/* Whether it has been found out how large a packet gets through to an address. */
bool health_knows_path(const struct lbd *lbd, const struct lb_address *address);

/* Members of the answer of GET /v1/health; service, backend: NULL or empty: all. -ESRCH: no such. */
int health_write(struct lbd *lbd, const char *service, const char *backend, struct json *json,
		 struct lb_error *error);

/* The member "tiers" of a service: which serve, and why; null where nothing is checked. */
void health_write_service(struct lbd *lbd, const char *name, struct json *json);

/*
 * How many backends of the service its checks let serve, where all are served although too few are left
 * (when_all_fail); UINT32_MAX where checks set nothing aside. For whether the service's VIP is announced.
 */
__u32 health_passing(const struct lbd *lbd, const char *service);

struct metric_labels;
/* Samples of metrics_list.h; parts as there. Of the whole; of a service of that name, if it is checked: for
 * /metrics, with its backends added to breakers, by state (LB_CIRCUIT_STATE_COUNT); for /metrics/services;
 * for /metrics/backends, from one of its backends up to before another. */
void health_metrics_whole(struct lbd *lbd, struct json *parts);
void health_metrics_service(struct lbd *lbd, const char *name, struct metric_labels *labels, __u64 *breakers,
			    struct json *parts);
void health_metrics_detail(struct lbd *lbd, const char *name, struct metric_labels *labels,
			   struct json *parts);
void health_metrics_backends(struct lbd *lbd, const char *name, size_t from, size_t to,
			     struct metric_labels *labels, struct json *parts);
