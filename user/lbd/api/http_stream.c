// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers that are made while they are sent. While a source has nothing to say its connection is suspended,
 * which costs nothing; libmicrohttpd does not look at such a connection, so we watch for the client's end.
 */
#include "lbd/api/http_stream_internal.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PIECE_BYTES (16u << 10)

struct http_stream {
	struct http_source source;
	struct http_streams *streams; /* it is in; NULL: not yet */
	struct MHD_Connection *connection;
	sd_event_source *timer; /* the server's */
	sd_event_source *watch;
	bool suspended;
	bool gone; /* the client */
	TAILQ_ENTRY(http_stream) list;
};

struct http_stream *http_stream_new(const struct http_source *source)
{
	struct http_stream *stream = calloc(1, sizeof(*stream));

	if (stream)
		stream->source = *source;
	return stream;
}

void http_stream_free(struct http_stream *stream)
{
	if (!stream)
		return;
	sd_event_source_disable_unref(stream->watch);
	if (stream->streams)
		TAILQ_REMOVE(stream->streams, stream, list);
	stream->source.closed(stream->source.context);
	free(stream);
}

static void on_free(void *context)
{
	http_stream_free(context);
}

static ssize_t on_read(void *context, uint64_t at, char *buffer, size_t room)
{
	struct http_stream *stream = context;
	ssize_t n;

	if (stream->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = stream->source.read(stream->source.context, buffer, room);
	if (n == HTTP_SOURCE_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
	}
	return n;
}

void http_stream_wake(struct http_stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
	/* With an event loop that is not its own, libmicrohttpd only notes it. */
	sd_event_source_set_time(stream->timer, 0);
	sd_event_source_set_enabled(stream->timer, SD_EVENT_ONESHOT);
}

void http_stream_abort(struct http_stream *stream)
{
	const union MHD_ConnectionInfo *info =
		stream->connection
			? MHD_get_connection_info(stream->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
			: NULL;

	stream->gone = true;
	if (info)
		shutdown(info->connect_fd, SHUT_RDWR);
	http_stream_wake(stream);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct http_stream *stream = context;

	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (revents & (EPOLLHUP | EPOLLERR))
		stream->gone = true;
	else
		stream->source.finish(stream->source.context);
	http_stream_wake(stream);
	return 0;
}

struct MHD_Response *http_stream_open(struct http_stream *stream, struct http_streams *streams,
				      sd_event_source *timer, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct MHD_Response *response = NULL;

	stream->connection = connection;
	stream->timer = timer;
	stream->streams = streams;
	TAILQ_INSERT_TAIL(streams, stream, list);
	if (info && sd_event_add_io(sd_event_source_get_event(timer), &stream->watch, info->connect_fd,
				    EPOLLRDHUP, on_client, stream) >= 0)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, on_read, stream,
							     on_free);
	if (!response)
		http_stream_free(stream);
	return response;
}

bool http_streams_end(struct http_streams *streams, bool now)
{
	struct http_stream *stream;

	TAILQ_FOREACH(stream, streams, list)
	{
		stream->gone = stream->gone || now;
		http_stream_wake(stream);
	}
	return !TAILQ_EMPTY(streams);
}
