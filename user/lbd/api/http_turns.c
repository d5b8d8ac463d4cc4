// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of requests that cost much.
 */
#include "lbd/api/http_turns.h"

#include <microhttpd.h>

void http_turn_wait(struct http_turns *turns, struct http_turn *turn, struct MHD_Connection *connection)
{
	turn->connection = connection;
	turn->waiting = true;
	TAILQ_INSERT_TAIL(turns, turn, list);
	MHD_suspend_connection(connection);
}

void http_turn_done(struct http_turns *turns, struct http_turn *turn)
{
	if (turn->waiting)
		TAILQ_REMOVE(turns, turn, list);
	turn->waiting = false;
}

bool http_turns_next(struct http_turns *turns)
{
	struct http_turn *turn = TAILQ_FIRST(turns);

	if (!turn)
		return false;
	http_turn_done(turns, turn);
	turn->due = true;
	MHD_resume_connection(turn->connection);
	return !TAILQ_EMPTY(turns);
}
