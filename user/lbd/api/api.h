/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The API of docs/api.md: one table of verbs, one api_*.c file per group of them.
 */
#pragma once

#include "lbd/api/http.h"
#include "lbd/lbd.h"

struct api_call {
	struct lbd *lbd;
	const struct http_request *request;
	struct http_answer *answer;
	bool whole;                /* the verb wrote the whole body, not members */
	struct json *json;         /* the answer's body, inside the one object that every answer is */
	char service[LB_NAME_MAX]; /* of the path; empty where it has none */
	char backend[LB_NAME_MAX];
};

/* A verb fills call->json with members and returns 0, or -errno with *error. -ESRCH is 404. */
typedef int api_verb(struct api_call *call, struct lb_error *error);

/* The handler for http_new(). */
void api_handler(struct lbd *lbd, struct http_handler *ret_handler);

/* The same for those who may only look: what has no seed, no clients' addresses, and changes nothing. */
void api_monitor_handler(struct lbd *lbd, struct http_handler *ret_handler);

/* A parameter that is on: given and not "0" or "false". */
bool api_flag(const struct api_call *call, const char *name);
/* A number of the query, or the fallback; -EINVAL when it is none. */
int api_number(const struct api_call *call, const char *name, __u64 fallback, __u64 *ret_value,
	       struct lb_error *error);

/* Who calls, for events: " uid=0 pid=7"; over TCP nobody is known. Returns the buffer. */
#define API_WHO_MAX 48u
const char *api_who(const struct api_call *call, char buffer[API_WHO_MAX]);

struct change;
struct desired;
/* Has next made (change.h) as the query and the headers of the call want it; what is refused is answered with
 * its plan: 0 as well, see api_refused(). */
int api_make(struct api_call *call, struct desired *next, struct change *change, struct lb_error *error);
bool api_refused(const struct api_call *call);
/* A 409 with what was written so far, the members of a plan, beside the error that says why it is not made.
 */
void api_refuse(struct api_call *call, const struct lb_error *error);

api_verb api_version, api_status;                                        /* api_status.c */
api_verb api_apply, api_diff, api_rollback, api_generations, api_config; /* api_change.c */
api_verb api_patch, api_patch_host;                                      /* api_override.c */
api_verb api_sources, api_source, api_source_put, api_source_put_whole, api_source_delete; /* api_sources.c */
api_verb api_services, api_service, api_backends, api_ring; /* api_services.c */
api_verb api_stats, api_drops, api_flows, api_events;       /* api_stats.c */
/* Whether the backend of the path is no longer configured and not yet gone; and what it can be told then. */
bool api_is_leaving(const struct api_call *call);
api_verb api_patch_leaving;   /* api_drain.c */
api_verb api_edit;            /* api_edit.c */
api_verb api_reload;          /* api_reload.c */
api_verb api_leave, api_join; /* api_announce.c */
api_verb api_rings;           /* api_rings.c */
api_verb api_capture;         /* api_capture.c */
api_verb api_health;          /* api_health.c */
api_verb api_observe;         /* api_observe.c */
api_verb api_explain;         /* api_explain.c */
