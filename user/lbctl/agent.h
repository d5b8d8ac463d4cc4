/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Talking to lbd: HTTP over its UNIX socket (docs/api.md). An answer is a JSON object with the key that the
 * caller counts on, or the request has failed with an error that a person can act on.
 */
#pragma once

#include "json.h"
#include "lbctl.h"

#define AGENT_ANSWER_BYTES_MAX (256u << 20)

struct reply {
	cJSON *root;
	char *text; /* as it came, terminated */
	size_t length;
};
void reply_done(struct reply *reply); /* may be called again */

struct request {
	const char *method;
	const char *path; /* with the query */
	const char *body; /* JSON, or NULL */
	size_t length;    /* of the body, bytes */
	const char *key;  /* the answer must have it, or it is not from an lbd; may be NULL */
};

/* 0 and *ret (reply_done), or -1 and *ret_error (an object as lbctl_fail_with takes). */
int agent_try(struct lbctl *c, const struct request *request, struct reply *ret, cJSON **ret_error);

/* The same, but failure is said right away: EXIT_DONE or EXIT_FAILED. */
int agent_ask(struct lbctl *c, const struct request *request, struct reply *ret);
int agent_get(struct lbctl *c, const char *path, const char *key, struct reply *ret);

/* From the HTTP address of another balancer; as agent_try(). */
int agent_try_remote(struct lbctl *c, const char *url, const char *path, const char *key, struct reply *ret,
		     cJSON **ret_error);

/* Why the socket cannot be connected to, for lbctl_fail_with. */
cJSON *agent_connect_error(const struct lbctl *c);

/* A name as it goes into a path; malloc'd. */
char *agent_escape(const char *name);

/* The answer as the agent wrote it, with a newline at its end. */
void reply_print(const struct reply *reply);

void agent_done(struct lbctl *c);
