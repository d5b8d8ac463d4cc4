// SPDX-License-Identifier: GPL-2.0-only
/*
 * HTTP. What a client can do to us is bounded: HEADERS_BYTES of headers, a body limit that is checked before
 * the body is read, BODIES_BYTES in all bodies together, CONNECTIONS at once, IDLE_S without a byte and
 * LIFETIME_S in all. When connections run out, the oldest one gives way.
 */
#include "lbd/api/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "lbd/api/http_stream_internal.h"
#include "lbd/log.h"
#include "lbd/clock.h"

#define CONNECTIONS   128u
#define HEADERS_BYTES (16u << 10)
#define BODIES_BYTES  (192u << 20)
#define IDLE_S        15u
#define LIFETIME_S    120u
#define CHECK_MS      1000u

struct client {
	int fd;
	__u64 since_ms;
	bool streaming; /* takes as long as it takes */
	TAILQ_ENTRY(client) list;
};

struct request {
	struct http *http;
	char *body;
	size_t length, capacity, limit;
	bool too_large;
	bool refused; /* answered already */
};

struct http {
	struct MHD_Daemon *daemon;
	sd_event_source *io, *timer;
	struct http_handler handler;
	TAILQ_HEAD(, client) clients; /* oldest first */
	struct http_streams streams;
	size_t n_clients;
	size_t bodies_bytes;
};

const char *http_query(const struct http_request *request, const char *name)
{
	const char *value = NULL;
	size_t length;

	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, &length) != MHD_YES)
		return NULL;
	return value ? value : "";
}

void http_error(struct http_answer *answer, unsigned int status, const struct lb_error *error,
		const char *file)
{
	struct json *json = &answer->body;

	json_done(json);
	answer->status = status;
	answer->type = NULL;
	json_object(json, NULL);
	json_object(json, "error");
	json_string(json, "message", error->text);
	if (error->path[0])
		json_string(json, "path", error->path);
	if (error->value[0])
		json_string(json, "value", error->value);
	if (file)
		json_string(json, "file", file);
	json_object_end(json);
	json_object_end(json);
}

static void error_text(struct http_answer *answer, unsigned int status, const char *text)
{
	struct lb_error error = {};

	lb_error_set(&error, EINVAL, "%s", text);
	http_error(answer, status, &error, NULL);
}

static enum MHD_Result send_stream(struct http *http, struct MHD_Connection *connection,
				   struct http_answer *answer)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *client = info ? info->socket_context : NULL;
	struct MHD_Response *response =
		http_stream_open(answer->stream, &http->streams, http->timer, connection);
	enum MHD_Result result;

	json_done(&answer->body);
	if (!response)
		return MHD_NO;
	if (client)
		client->streaming = true;
	if (answer->type)
		MHD_add_response_header(response, "Content-Type", answer->type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct http_answer *answer)
{
	static const char memory[] = "{\"error\":{\"message\":\"out of memory\"}}";
	struct MHD_Response *response;
	enum MHD_Result result;

	if (answer->body.failed || !answer->body.text) {
		json_done(&answer->body);
		answer->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		answer->type = NULL;
		response = MHD_create_response_from_buffer(sizeof(memory) - 1, (void *)memory,
							   MHD_RESPMEM_PERSISTENT);
	} else {
		response = MHD_create_response_from_buffer(answer->body.length, answer->body.text,
							   MHD_RESPMEM_MUST_FREE);
		if (!response)
			free(answer->body.text);
	}
	answer->body = (struct json){};
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", answer->type ? answer->type : "application/json");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static void request_free(struct request *request)
{
	if (!request)
		return;
	request->http->bodies_bytes -= request->capacity;
	free(request->body);
	free(request);
}

/* The length that the client announces; 0 if it does not. SIZE_MAX: not a number. */
static size_t announced_length(struct MHD_Connection *connection)
{
	const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
	unsigned long long value;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end || end == text ? SIZE_MAX : value;
}

static enum MHD_Result begin(struct http *http, struct MHD_Connection *connection, const char *path,
			     const char *method, void **state)
{
	struct request *request = calloc(1, sizeof(*request));
	struct http_answer answer = {};

	if (!request)
		return MHD_NO;
	request->http = http;
	request->limit = http->handler.body_limit(http->handler.context, method, path);
	*state = request;
	if (announced_length(connection) <= request->limit)
		return MHD_YES;
	request->refused = true;
	error_text(&answer, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large for this request");
	return send_answer(connection, &answer);
}

/* Takes in a piece of the body; what is too much is read and thrown away. */
static void take_in(struct request *request, const char *data, size_t length)
{
	struct http *http = request->http;

	if (request->too_large || length > request->limit - request->length) {
		request->too_large = true;
		return;
	}
	if (request->length + length + 1 > request->capacity) {
		size_t capacity = request->capacity ? 2 * request->capacity : 4096;
		char *body;

		while (capacity < request->length + length + 1)
			capacity *= 2;
		if (http->bodies_bytes - request->capacity + capacity > BODIES_BYTES) {
			request->too_large = true;
			return;
		}
		body = realloc(request->body, capacity);
		if (!body) {
			request->too_large = true;
			return;
		}
		http->bodies_bytes += capacity - request->capacity;
		request->body = body;
		request->capacity = capacity;
	}
	memcpy(request->body + request->length, data, length);
	request->length += length;
	request->body[request->length] = '\0';
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data, size_t *length,
				  void **state)
{
	struct http *http = context;
	struct request *request = *state;
	struct http_answer answer = { .status = MHD_HTTP_OK };

	if (!request)
		return begin(http, connection, url, method, state);
	if (request->refused)
		return MHD_NO;
	if (*length) {
		take_in(request, data, *length);
		*length = 0;
		return MHD_YES;
	}
	if (request->too_large) {
		error_text(&answer, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large for this request");
	} else {
		const struct http_request whole = {
			.method = method,
			.path = url,
			.body = request->body ? request->body : "",
			.length = request->length,
			.connection = connection,
		};

		http->handler.handle(http->handler.context, &whole, &answer);
	}
	return answer.stream ? send_stream(http, connection, &answer) : send_answer(connection, &answer);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	request_free(*state);
	*state = NULL;
}

static void client_shut(struct client *client)
{
	/* libmicrohttpd owns the connection: it sees the end and closes. */
	shutdown(client->fd, SHUT_RDWR);
	client->fd = -1;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;
	struct client *client = *state;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

		client = calloc(1, sizeof(*client));
		*state = client;
		if (!client)
			return;
		client->fd = info ? info->connect_fd : -1;
		client->since_ms = now_ms();
		TAILQ_INSERT_TAIL(&http->clients, client, list);
		http->n_clients++;
	} else if (client) {
		TAILQ_REMOVE(&http->clients, client, list);
		http->n_clients--;
		free(client);
		*state = NULL;
	}
}

/* Shuts clients that have been here too long, and the oldest while there are nearly too many. */
static void check_clients(struct http *http)
{
	__u64 now = now_ms();
	size_t spare = CONNECTIONS - CONNECTIONS / 8, n = http->n_clients;
	struct client *client;

	TAILQ_FOREACH(client, &http->clients, list)
	{
		bool old = now - client->since_ms > LIFETIME_S * 1000;

		if (client->streaming)
			continue;
		if (!old && n <= spare)
			break;
		n--;
		if (client->fd >= 0)
			client_shut(client);
	}
}

static void run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	__u64 wait_ms = CHECK_MS;
	int turns = 0;

	do {
		MHD_run(http->daemon);
		check_clients(http);
		if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
			wait_ms = timeout_ms < CHECK_MS ? timeout_ms : CHECK_MS;
		else
			wait_ms = CHECK_MS;
	} while (wait_ms == 0 && ++turns < 16);
	if (http->n_clients || wait_ms < CHECK_MS) {
		sd_event_source_set_time(http->timer, (now_ms() + wait_ms) * 1000);
		sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	run(context);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
	run(context);
	return 0;
}

static void on_message(void *context, const char *format, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, ap);
	log_debug("event=http %s", text);
}

int http_new(sd_event *event, int listen_fd, const struct http_handler *handler, struct http **ret_http,
	     struct lb_error *error)
{
	const union MHD_DaemonInfo *info;
	struct http *http = calloc(1, sizeof(*http));
	int r;

	if (!http) {
		close(listen_fd);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	http->handler = *handler;
	TAILQ_INIT(&http->clients);
	TAILQ_INIT(&http->streams);
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
		MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_BYTES * 2, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
	if (!http->daemon) {
		close(listen_fd);
		free(http);
		return lb_error_set(error, EIO, "Failed to start the HTTP server");
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? sd_event_add_io(event, &http->io, info->epoll_fd, EPOLLIN, on_io, http) : -EIO;
	if (r >= 0)
		r = sd_event_add_time(event, &http->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, http);
	if (r < 0) {
		http_free(http);
		return lb_error_set(error, -r, "Failed to watch the HTTP server: %s", strerror(-r));
	}
	*ret_http = http;
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	/* Those whose source has come to its end have a moment to send the rest. */
	for (int turn = 0; http->daemon && turn < 16 && http_streams_end(&http->streams, turn == 15); turn++)
		MHD_run(http->daemon);
	sd_event_source_disable_unref(http->io);
	sd_event_source_disable_unref(http->timer);
	MHD_stop_daemon(http->daemon);
	free(http);
}
