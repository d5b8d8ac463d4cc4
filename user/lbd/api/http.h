/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small HTTP server inside the event loop (libmicrohttpd, its epoll descriptor in sd-event). Clients are
 * not trusted to be quick, whole or polite: bodies, headers, connections and time are bounded.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "lbd/api/json.h"

struct http;
struct http_stream;
struct MHD_Connection;
struct tasks;

/* Who is at the other end of a UNIX socket. */
#define HTTP_NOBODY ((__u32)-1)
struct http_peer {
	__u32 uid; /* HTTP_NOBODY: not known, as over TCP */
	__u32 pid; /* 0: not known */
};

struct http_request {
	const char *method;
	const char *path; /* decoded, without query */
	const char *body; /* terminated */
	size_t length;
	struct MHD_Connection *connection; /* for http_query() */
	struct http_peer peer;
};

struct http_answer {
	unsigned int status;
	const char *type;           /* NULL: application/json */
	const char *encoding;       /* of the stream; NULL: none */
	struct json body;           /* taken over */
	struct http_stream *stream; /* taken over; sent instead of the body, in chunks as they come */
	bool lasting;               /* the stream: it takes as long as it takes */
};

struct http_handler {
	/* Called once a request is whole. */
	void (*handle)(void *context, const struct http_request *request, struct http_answer *answer);
	/* The largest body for a method and path, bytes. Larger ones are answered before they are read. */
	size_t (*body_limit)(void *context, const char *method, const char *path);
	/* Whether a request costs so much that it is a task; NULL: none does. */
	bool (*heavy)(void *context, const char *method, const char *path);
	void *context;
	struct tasks *tasks; /* for those; must end before the server is freed */
};

/* Who is at the other end of a connection. */
struct http_peer http_peer_of(struct MHD_Connection *connection);

/* Value of a parameter of the query; NULL: not given; "" for one without value. */
const char *http_query(const struct http_request *request, const char *name);

/* Value of a header of the request; NULL: it has none. */
const char *http_header(const struct http_request *request, const char *name);

/* Fills an answer with the error object of docs/api.md. file: NULL or name of the file that is meant. */
void http_error(struct http_answer *answer, unsigned int status, const struct lb_error *error,
		const char *file);

/* Serves a listening socket, which it takes over also on failure. */
int http_new(sd_event *event, int listen_fd, const struct http_handler *handler, struct http **ret_http,
	     struct lb_error *error);
void http_free(struct http *http);

/* Takes new clients from this socket, which it takes over also on failure; those that are here stay. 0 or
 * -errno. */
int http_listen_on(struct http *http, int listen_fd);

/* Listening sockets. UNIX: of the mode, and of the group (NULL: the process's); takes the place of one that
 * nobody serves any more. TCP:
 * "127.0.0.1:9100",
 * "[::1]:9100". A descriptor or -errno. */
int http_listen_unix(const char *path, mode_t mode, const char *group, struct lb_error *error);
int http_listen_tcp(const char *address, struct lb_error *error);
