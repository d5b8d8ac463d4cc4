// SPDX-License-Identifier: GPL-2.0-only
/*
 * HTTP. What a client can do to us is bounded: HEADERS_BYTES of headers, a body limit that is checked before
 * the body is read, BODIES_BYTES in all large bodies together, CONNECTIONS at once, STREAMS of those that
 * last, IDLE_S without a byte and LIFETIME_S in all. When connections run out, the oldest one gives way; when
 * room for bodies does, one that has been coming for SLOW_BODY_S. Connections are accepted by us: when
 * descriptors run out we try again, whether or not one of ours ends.
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
#include "lbd/api/http_turns.h"
#include "lbd/log.h"
#include "lbd/clock.h"

#define CONNECTIONS   128u
#define HEADERS_BYTES (16u << 10)
#define STREAMS       16u
#define BODIES_BYTES  (64u << 20)
#define SMALL_BYTES   (64u << 10) /* a body of so much is always taken: CONNECTIONS bound them */
#define SLOW_BODY_S   5u
#define ACCEPTS       16   /* in one turn of the loop */
#define ACCEPT_MS     100u /* when to try again without descriptors */
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
	int fd; /* of its client; -1: shut */
	__u64 since_ms;
	bool too_large;
	bool no_room; /* now; later there may be */
	bool refused; /* answered already */
	struct http_turn turn;
	TAILQ_ENTRY(request) list;
};

struct http {
	struct MHD_Daemon *daemon;
	int listen_fd;
	sd_event_source *io, *timer, *accept, *accept_again;
	struct http_handler handler;
	TAILQ_HEAD(, client) clients;   /* oldest first */
	TAILQ_HEAD(, request) requests; /* oldest first */
	struct http_streams streams;
	size_t n_clients;
	size_t bodies_bytes;
};

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
		client->streaming = answer->lasting;
	if (answer->type)
		MHD_add_response_header(response, "Content-Type", answer->type);
	if (answer->encoding)
		MHD_add_response_header(response, "Content-Encoding", answer->encoding);
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
	TAILQ_REMOVE(&request->http->requests, request, list);
	http_turn_done(&request->turn);
	if (request->capacity > SMALL_BYTES)
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
	const union MHD_ConnectionInfo *info;
	struct http_answer answer = {};

	if (!request)
		return MHD_NO;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	request->http = http;
	request->fd = info ? info->connect_fd : -1;
	request->since_ms = now_ms();
	TAILQ_INSERT_TAIL(&http->requests, request, list);
	request->limit = http->handler.body_limit(http->handler.context, method, path);
	*state = request;
	if (announced_length(connection) <= request->limit)
		return MHD_YES;
	request->refused = true;
	error_text(&answer, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large for this request");
	return send_answer(connection, &answer);
}

/* Shuts the client whose body has been coming for longest, if that is long. False: there is none. */
static bool drop_slow_body(struct http *http, const struct request *other)
{
	struct request *request;

	TAILQ_FOREACH(request, &http->requests, list)
	{
		/* One that is whole is not slow: its turn comes. */
		if (request == other || request->capacity <= SMALL_BYTES || request->fd < 0 ||
		    request->turn.begun)
			continue;
		if (now_ms() - request->since_ms < SLOW_BODY_S * 1000)
			return false;
		shutdown(request->fd, SHUT_RDWR);
		request->fd = -1;
		http->bodies_bytes -= request->capacity;
		free(request->body);
		request->body = NULL;
		request->length = request->capacity = 0;
		request->no_room = true;
		return true;
	}
	return false;
}

/* Room for so many bytes and a zero, within what all bodies may have together. */
static bool make_room(struct request *request, size_t length)
{
	struct http *http = request->http;
	size_t capacity = request->capacity ? request->capacity : 4096, had = request->capacity;
	char *body;

	if (length + 1 <= request->capacity)
		return true;
	while (capacity < length + 1)
		capacity *= 2;
	if (capacity > request->limit + 1)
		capacity = request->limit + 1;
	had = had > SMALL_BYTES ? had : 0;
	if (capacity > SMALL_BYTES) {
		while (http->bodies_bytes - had + capacity > BODIES_BYTES + SMALL_BYTES)
			if (!drop_slow_body(http, request))
				return false;
	}
	body = realloc(request->body, capacity);
	if (!body)
		return false;
	http->bodies_bytes += (capacity > SMALL_BYTES ? capacity : 0) - had;
	request->body = body;
	request->capacity = capacity;
	return true;
}

/* Takes in a piece of the body; what is too much is read and thrown away. */
static void take_in(struct request *request, const char *data, size_t length)
{
	if (request->too_large || request->no_room)
		return;
	if (length > request->limit - request->length) {
		request->too_large = true;
		return;
	}
	if (!make_room(request, request->length + length)) {
		request->no_room = true;
		return;
	}
	memcpy(request->body + request->length, data, length);
	request->length += length;
	request->body[request->length] = '\0';
}

static size_t count_lasting(const struct http *http)
{
	const struct client *client;
	size_t n = 0;

	TAILQ_FOREACH(client, &http->clients, list)
	n += client->streaming;
	return n;
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
	} else if (request->no_room) {
		error_text(&answer, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "other requests have all the room that there is for bodies: try again");
	} else if (request->turn.answered) {
		answer = request->turn.answer;
		request->turn.answer = (struct http_answer){};
	} else {
		const struct http_request whole = {
			.method = method,
			.path = url,
			.body = request->body ? request->body : "",
			.length = request->length,
			.connection = connection,
			.peer = http_peer_of(connection),
		};

		if (http->handler.heavy && http->handler.heavy(http->handler.context, method, url)) {
			http_turn_begin(&request->turn, &http->handler, &whole, http->timer);
			return MHD_YES;
		}
		http->handler.handle(http->handler.context, &whole, &answer);
	}
	if (answer.stream && answer.lasting && count_lasting(http) >= STREAMS) {
		http_stream_free(answer.stream);
		answer.stream = NULL;
		error_text(&answer, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "too many clients listen already: try again");
	}
	return answer.stream ? send_stream(http, connection, &answer) : send_answer(connection, &answer);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	request_free(*state);
	*state = NULL;
}

/* libmicrohttpd owns the connection: it sees the end and closes, unless it is suspended for a request. */
static void client_shut(struct http *http, struct client *client)
{
	struct request *request;

	TAILQ_FOREACH(request, &http->requests, list)
	{
		if (request->fd == client->fd)
			http_turn_give_up(&request->turn);
	}
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

/* Shuts clients that have been here too long, and the oldest while there are nearly too many. Whether any. */
static bool check_clients(struct http *http)
{
	bool any = false;
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
			client_shut(http, client);
		any = true;
	}
	return any;
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

/* Undoes %XX, but for a zero, which no name or value has: what is left then matches nothing. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char digits[3] = { from[0] == '%' ? from[1] : 0, from[1] ? from[2] : 0 }, *end;
		unsigned long value = strtoul(digits, &end, 16);

		if (*from == '%' && end == digits + 2 && digits[0] != '+' && digits[0] != '-' && value) {
			*to++ = (char)value;
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return to - text;
}

static int accept_later(struct http *http)
{
	sd_event_source_set_enabled(http->accept, SD_EVENT_OFF);
	sd_event_source_set_time_relative(http->accept_again, ACCEPT_MS * 1000);
	sd_event_source_set_enabled(http->accept_again, SD_EVENT_ONESHOT);
	return 0;
}

static int on_accept(sd_event_source *source, int listen_fd, uint32_t revents, void *context)
{
	struct http *http = context;

	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof(address);
		int fd;

		/* One more would be refused; so it waits until somebody who was shut is gone. */
		if (http->n_clients >= CONNECTIONS)
			return accept_later(http);
		fd = accept4(listen_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			return accept_later(http);
		if (fd < 0)
			break;
		/* Closes the descriptor when it fails. */
		(void)MHD_add_connection(http->daemon, fd, (struct sockaddr *)&address, length);
		if (check_clients(http))
			MHD_run(http->daemon);
	}
	run(http);
	return 0;
}

static int on_accept_again(sd_event_source *source, uint64_t usec, void *context)
{
	struct http *http = context;

	sd_event_source_set_enabled(http->accept, SD_EVENT_ON);
	return 0;
}

static int watch(struct http *http, sd_event *event)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r = info ? sd_event_add_io(event, &http->io, info->epoll_fd, EPOLLIN, on_io, http) : -EIO;

	if (r >= 0)
		r = sd_event_add_time(event, &http->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, http);
	if (r >= 0)
		r = sd_event_add_io(event, &http->accept, http->listen_fd, EPOLLIN, on_accept, http);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &http->accept_again, CLOCK_MONOTONIC, 0, 1000,
					       on_accept_again, http);
	if (r >= 0)
		r = sd_event_source_set_enabled(http->accept_again, SD_EVENT_OFF);
	return r;
}

int http_listen_on(struct http *http, int listen_fd)
{
	sd_event_source *accept;
	int r = sd_event_add_io(sd_event_source_get_event(http->accept), &accept, listen_fd, EPOLLIN,
				on_accept, http);

	if (r < 0) {
		close(listen_fd);
		return r;
	}
	sd_event_source_disable_unref(http->accept);
	close(http->listen_fd);
	http->accept = accept;
	http->listen_fd = listen_fd;
	return 0;
}

int http_new(sd_event *event, int listen_fd, const struct http_handler *handler, struct http **ret_http,
	     struct lb_error *error)
{
	struct http *http = calloc(1, sizeof(*http));
	int r;

	if (!http) {
		close(listen_fd);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	http->handler = *handler;
	http->listen_fd = listen_fd;
	TAILQ_INIT(&http->clients);
	TAILQ_INIT(&http->requests);
	TAILQ_INIT(&http->streams);
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
		NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_BYTES * 2, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
	r = http->daemon ? watch(http, event) : -EIO;
	if (r < 0) {
		http_free(http);
		return lb_error_set(error, -r, "Failed to start the HTTP server: %s", strerror(-r));
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
	/* And those that were answered last, whose connections libmicrohttpd has only noted as resumed. */
	for (int turn = 0; http->daemon && turn < 4 && !TAILQ_EMPTY(&http->requests); turn++)
		MHD_run(http->daemon);
	sd_event_source_disable_unref(http->accept);
	sd_event_source_disable_unref(http->accept_again);
	sd_event_source_disable_unref(http->io);
	sd_event_source_disable_unref(http->timer);
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	close(http->listen_fd);
	free(http);
}
