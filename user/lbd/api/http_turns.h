/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that cost much are tasks (lbd/task.h): one at a time, in the order in which they came to their
 * end, while the server goes on with the others.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "lbd/api/http.h"
#include "lbd/task.h"

struct http_turn {
	struct task task;
	const struct http_handler *handler;
	struct http_request request;
	sd_event_source *timer; /* the server's */
	struct http_answer answer;
	bool begun;    /* it is the task's, and its connection suspended */
	bool answered; /* there is the answer */
};

/* Suspends the request's connection and has the request handled in its turn. What request points to must
 * stay. */
void http_turn_begin(struct http_turn *turn, const struct http_handler *handler,
		     const struct http_request *request, sd_event_source *timer);

/* Nobody waits for it any more: unless its turn has come, it ends without. */
void http_turn_give_up(struct http_turn *turn);

/* The request is over, whether or not its answer was sent; it is not suspended any more. */
void http_turn_done(struct http_turn *turn);
