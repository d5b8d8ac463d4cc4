// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request as a task. Its connection is suspended meanwhile: libmicrohttpd neither reads nor closes it, so
 * that what the request points to stays.
 */
#include "lbd/api/http_turns.h"

#include <errno.h>
#include <microhttpd.h>

#include "lbd/api/http_stream.h"

/* The server sends the answer when it runs. */
static void answered(struct http_turn *turn)
{
	turn->answered = true;
	MHD_resume_connection(turn->request.connection);
	/* With an event loop that is not its own, libmicrohttpd only notes it. */
	sd_event_source_set_time(turn->timer, 0);
	sd_event_source_set_enabled(turn->timer, SD_EVENT_ONESHOT);
}

static void handle(void *context)
{
	struct http_turn *turn = context;

	turn->handler->handle(turn->handler->context, &turn->request, &turn->answer);
	answered(turn);
}

static void end_without(struct http_turn *turn, const char *why)
{
	struct lb_error error = {};

	lb_error_set(&error, ECANCELED, "%s: nothing was changed", why);
	http_error(&turn->answer, MHD_HTTP_SERVICE_UNAVAILABLE, &error, NULL);
	answered(turn);
}

static void cancel(void *context)
{
	end_without(context, "the agent stops");
}

void http_turn_give_up(struct http_turn *turn)
{
	if (turn->begun && !turn->answered && task_withdraw(turn->handler->tasks, &turn->task))
		end_without(turn, "there are too many requests");
}

void http_turn_begin(struct http_turn *turn, const struct http_handler *handler,
		     const struct http_request *request, sd_event_source *timer)
{
	*turn = (struct http_turn){
		.task = { .run = handle, .cancel = cancel, .context = turn },
		.handler = handler,
		.request = *request,
		.timer = timer,
		.answer = { .status = MHD_HTTP_OK },
		.begun = true,
	};
	MHD_suspend_connection(request->connection);
	task_add(handler->tasks, &turn->task);
}

void http_turn_done(struct http_turn *turn)
{
	json_done(&turn->answer.body);
	http_stream_free(turn->answer.stream);
	turn->answer = (struct http_answer){};
}
