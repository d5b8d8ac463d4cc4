/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between http.c and http_stream.c.
 */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "lbd/api/http_stream.h"

TAILQ_HEAD(http_streams, http_stream);

/* The response that sends a stream, which it takes over also on failure; NULL: out of memory. timer: has the
 * server run, and is set off when the stream is to go on. */
struct MHD_Response *http_stream_open(struct http_stream *stream, struct http_streams *streams,
				      sd_event_source *timer, struct MHD_Connection *connection);

/* Lets every stream go on when the server runs next, or has it break off there; whether there is any. */
bool http_streams_end(struct http_streams *streams, bool now);
