/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that cost much have turns: one each time the server runs, in the order in which they came to their
 * end, so that whoever asks for little never waits for more than one of them.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct MHD_Connection;

struct http_turn {
	struct MHD_Connection *connection;
	bool waiting; /* suspended, in the queue */
	bool due;     /* has had its turn: to be handled now */
	TAILQ_ENTRY(http_turn) list;
};

TAILQ_HEAD(http_turns, http_turn);

/* The request has to wait: suspends its connection. */
void http_turn_wait(struct http_turns *turns, struct http_turn *turn, struct MHD_Connection *connection);

/* The request is over, whether or not it waits. */
void http_turn_done(struct http_turns *turns, struct http_turn *turn);

/* The next one goes on when the server runs; whether more wait. */
bool http_turns_next(struct http_turns *turns);
