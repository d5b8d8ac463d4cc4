/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between http.c and streams of its answers (http.h).
 */
#pragma once

#include <sys/types.h>

struct http_stream;

#define HTTP_SOURCE_BROKEN (-2)

/* Where the body of an answer comes from that is made while it is sent. */
struct http_source {
	/* Fills the buffer: how many bytes; 0: nothing yet, http_stream_wake() will tell; -1: that was all;
	 * HTTP_SOURCE_BROKEN: there should be more, and will not: the client is to notice. */
	ssize_t (*read)(void *context, char *buffer, size_t room);
	/* The client will say no more, but may still listen (it shut its side down): come to an end. */
	void (*finish)(void *context);
	/* Called once, when all is sent or the client is gone: the stream is no more. */
	void (*closed)(void *context);
	void *context;
};

/* NULL: out of memory. Freed by whoever takes it over, or by http_stream_free(). */
struct http_stream *http_stream_new(const struct http_source *source);
void http_stream_free(struct http_stream *stream);

/* Its client takes nothing, and is to go: it is closed when the server runs next. */
void http_stream_abort(struct http_stream *stream);

/* The source has something, or has come to its end. Not from within its functions. */
void http_stream_wake(struct http_stream *stream);
