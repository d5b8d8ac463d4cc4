// SPDX-License-Identifier: GPL-2.0-only
/*
 * HTTP, HTTPS and gRPC checks by libcurl's multi interface in our loop. Every check has a connection and a
 * TLS session of its own: libcurl pools both by host and port, which all backends of a VIP have in common. No
 * redirect is followed, no proxy asked, no name resolved. What is read is bounded, and so is the time.
 */
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lb-checkd/checkd.h"

#define BODY_MAX       65536u /* bytes that are looked at */
#define STATUS_LIMITED 429    /* too many requests */

struct http {
	CURLM *multi;
	struct timer timer;       /* libcurl's */
	struct http_socket *dead; /* freed when nothing that epoll reported can name them any more */
};

/* One request. */
struct request {
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	unsigned char frame[5 + 2 + LB_CHECK_TEXT_MAX]; /* of grpc */
	bool full;                                      /* enough has been read */
	int grpc_status;                                /* -1: none was said */
	int shortage;                                   /* of our own: errno; 0: none */
	int fd;                                         /* of the connection; -1: none yet */
	struct checkd *checkd;
};

/* One of libcurl's sockets. */
struct http_socket {
	struct watch watch;
	int fd; /* -1: libcurl is done with it */
	struct http_socket *next_dead;
};

/* --- what is read ----------------------------------------------------------------------------------------
 */

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct probe *probe = context;
	struct request *request = probe->http;
	size_t n = size * count, room = BODY_MAX - probe->n_answer;

	if (!probe->answer)
		probe->answer = malloc(BODY_MAX);
	if (!probe->answer)
		return 0;
	memcpy(probe->answer + probe->n_answer, data, n < room ? n : room);
	probe->n_answer += n < room ? n : room;
	request->full = n >= room;
	/* No more than that, however much there is. */
	return request->full ? 0 : n;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct probe *probe = context;
	struct request *request = probe->http;
	char line[32] = "";

	memcpy(line, data, size * count < sizeof(line) ? size * count : sizeof(line) - 1);
	if (strncasecmp(line, "grpc-status:", 12) == 0)
		request->grpc_status = atoi(line + 12);
	return size * count;
}

/* --- how it ended ----------------------------------------------------------------------------------------
 */

/* SERVING, as grpc.health.v1 says it: a message with field 1 = 1. */
static enum lb_outcome judge_grpc(const struct probe *probe, const struct request *request, long status)
{
	static const char serving[] = { 0, 0, 0, 0, 2, 8, 1 };

	if (status != 200)
		return LB_OUTCOME_PROTOCOL;
	if (request->grpc_status == 8) /* RESOURCE_EXHAUSTED */
		return LB_OUTCOME_LIMITED;
	if (request->grpc_status > 0)
		return LB_OUTCOME_STATUS;
	if (request->grpc_status < 0 || probe->n_answer < 5)
		return LB_OUTCOME_PROTOCOL;
	return probe->n_answer == sizeof(serving) && memcmp(probe->answer, serving, sizeof(serving)) == 0
		       ? LB_OUTCOME_OK
		       : LB_OUTCOME_STATUS;
}

static enum lb_outcome judge(const struct probe *probe, const struct request *request, long status)
{
	const struct lb_config_check *check = &probe->target->config;

	if (check->kind == LB_CHECK_GRPC)
		return judge_grpc(probe, request, status);
	if (status < check->status_first || status > check->status_last)
		return status == STATUS_LIMITED ? LB_OUTCOME_LIMITED : LB_OUTCOME_STATUS;
	if (check->body[0] &&
	    (!probe->answer || !memmem(probe->answer, probe->n_answer, check->body, strlen(check->body))))
		return LB_OUTCOME_PROTOCOL;
	return LB_OUTCOME_OK;
}

static enum lb_outcome outcome_of_curl(CURLcode code, long error)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return lb_outcome_of_errno((int)error);
	case CURLE_OPERATION_TIMEDOUT:
		return LB_OUTCOME_TIMEOUT;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return LB_OUTCOME_RESET;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_SSL_CACERT_BADFILE: /* our file, not their certificate */
		return LB_OUTCOME_NONE;
	default:
		return LB_OUTCOME_PROTOCOL;
	}
}

static void finish(struct checkd *checkd, struct probe *probe, CURLcode code)
{
	struct request *request = probe->http;
	long status = 0, error = 0;
	enum lb_outcome outcome;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && request->full))
		outcome = judge(probe, request, status);
	else if (request->shortage)
		outcome = LB_OUTCOME_NONE;
	else if (http_read_too_much(request->fd))
		outcome = LB_OUTCOME_PROTOCOL;
	else
		outcome = outcome_of_curl(code, error);
	probe_end(checkd, probe, outcome,
		  (__u32)(status              ? status
			  : request->shortage ? request->shortage
					      : error));
}

/* Has libcurl go on, and takes what has ended. */
static void go_on(struct checkd *checkd, curl_socket_t fd, int what)
{
	struct http *http = checkd->http;
	CURLMsg *message;
	int left;

	http_read_begin();
	curl_multi_socket_action(http->multi, fd, what, &left);
	http_read_end();
	while ((message = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = message->data.result;
		struct probe *probe = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&probe);
		finish(checkd, probe, code);
	}
}

/* --- libcurl in our loop ---------------------------------------------------------------------------------
 */

static void on_socket_ready(struct checkd *checkd, struct watch *watch, __u32 events)
{
	struct http_socket *socket = (struct http_socket *)watch; /* its first member */
	int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

	if (socket->fd >= 0)
		go_on(checkd, socket->fd, what);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *old)
{
	struct checkd *checkd = context;
	struct http *http = checkd->http;
	struct http_socket *socket = old;
	struct epoll_event event = {};

	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(checkd->epoll, EPOLL_CTL_DEL, fd, NULL);
		curl_multi_assign(http->multi, fd, NULL);
		if (socket) {
			socket->fd = -1;
			socket->next_dead = http->dead;
			http->dead = socket;
		}
		return 0;
	}
	if (!socket) {
		socket = calloc(1, sizeof(*socket));
		if (!socket)
			return -1;
		socket->watch.ready = on_socket_ready;
		socket->fd = fd;
		curl_multi_assign(http->multi, fd, socket);
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	event.data.ptr = &socket->watch;
	if (epoll_ctl(checkd->epoll, old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
		epoll_ctl(checkd->epoll, old ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
	return 0;
}

void probe_http_sweep(struct checkd *checkd)
{
	struct http *http = checkd->http;

	while (http->dead) {
		struct http_socket *socket = http->dead;

		http->dead = socket->next_dead;
		free(socket);
	}
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct checkd *checkd = context;
	struct http *http = checkd->http;

	if (timeout_ms < 0)
		heap_remove(&checkd->heap, &http->timer);
	else
		heap_set(&checkd->heap, &http->timer, lb_now_ns() + (__u64)timeout_ms * LB_NS_PER_MS);
	return 0;
}

static void on_timer_due(struct checkd *checkd, struct timer *timer, __u64 now)
{
	go_on(checkd, CURL_SOCKET_TIMEOUT, 0);
}

int probe_http_start(struct checkd *checkd)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	checkd->http = http;
	http->timer = (struct timer){ .at = SIZE_MAX, .fire = on_timer_due };
	http->multi = curl_multi_init();
	if (!http->multi)
		return -ENOMEM;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, checkd);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, checkd);
	curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return 0;
}

/* --- begin -----------------------------------------------------------------------------------------------
 */

static void set_tls(CURL *easy, const struct lb_config_check *check)
{
	bool verify = check->tls != LB_CHECK_TLS_INSECURE;

	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	if (check->ca[0])
		curl_easy_setopt(easy, CURLOPT_CAINFO, check->ca);
}

/* The request names the host; the connection goes to the address. */
static bool set_place(struct request *request, const struct lb_config_check *check)
{
	char address[LB_ADDRESS_TEXT_MAX], numeric[LB_ADDRESS_TEXT_MAX + 2];
	char host[LB_CHECK_TEXT_MAX + LB_ADDRESS_TEXT_MAX], url[1024], to[256];
	const char *scheme = check->kind == LB_CHECK_HTTPS ? "https" : "http";
	const char *path = check->kind == LB_CHECK_GRPC ? "/grpc.health.v1.Health/Check" : check->path;

	lb_address_text(&check->address, address);
	snprintf(numeric, sizeof(numeric), check->address.family == LB_FAMILY_V6 ? "[%s]" : "%s", address);
	snprintf(host, sizeof(host), "%s", check->host[0] ? check->host : numeric);
	snprintf(url, sizeof(url), "%s://%s:%u%s", scheme, host, check->port, path);
	snprintf(to, sizeof(to), "::%s:%u", numeric, check->port);
	request->connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, request->connect_to);
	return request->connect_to && curl_easy_setopt(request->easy, CURLOPT_URL, url) == CURLE_OK;
}

/* HealthCheckRequest { service }, in a frame. */
static void set_grpc(struct request *request, const struct lb_config_check *check)
{
	size_t length = strlen(check->service), message = length ? 2 + length : 0;

	/* 191 bytes at most: a length of two bytes in the message's encoding where it is above 127. */
	if (length > 127)
		message++;
	memset(request->frame, 0, sizeof(request->frame));
	request->frame[4] = (unsigned char)message;
	if (length) {
		unsigned char *at = request->frame + 5;

		*at++ = 0x0a;
		if (length > 127) {
			*at++ = (unsigned char)(length | 0x80);
			*at++ = 1;
		} else {
			*at++ = (unsigned char)length;
		}
		memcpy(at, check->service, length);
	}
	request->headers = curl_slist_append(request->headers, "Content-Type: application/grpc");
	request->headers = curl_slist_append(request->headers, "TE: trailers");
	curl_easy_setopt(request->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->frame);
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE, (long)(5 + message));
}

static void set_request(struct request *request, const struct lb_config_check *check)
{
	CURL *easy = request->easy;
	long version = check->http_version == LB_CHECK_HTTP_2 ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_1_1;

	if (check->kind == LB_CHECK_GRPC ||
	    (version == CURL_HTTP_VERSION_2_0 && check->kind == LB_CHECK_HTTP))
		version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
	request->headers = curl_slist_append(NULL, "User-Agent: weir-check");
	if (check->kind == LB_CHECK_GRPC)
		set_grpc(request, check);
	else if (strcmp(check->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(check->method, "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, check->method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
}

/* A socket of libcurl's before it connects. One through the packet path ends in a reset, and leaves no port
 * in TIME-WAIT: all of these go to one address and port. */
static int on_socket_made(void *context, curl_socket_t fd, curlsocktype purpose)
{
	static const struct linger reset = { .l_onoff = 1 };
	struct probe *probe = context;
	struct request *request = probe->http;
	int family = probe->target->config.address.family == LB_FAMILY_V6 ? AF_INET6 : AF_INET;
	int r = http_read_made(fd);

	request->fd = fd;
	if (r == 0 && probe->target->mark)
		r = path_dress(request->checkd, probe, fd, family, IPPROTO_TCP);
	if (probe->target->mark)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	request->shortage = r < 0 ? -r : 0;
	return r < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

static bool prepare(struct probe *probe, struct request *request)
{
	const struct lb_config_check *check = &probe->target->config;
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, probe);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, probe);
	set_tls(easy, check);
	set_request(request, check);
	return set_place(request, check);
}

void probe_http_begin(struct checkd *checkd, struct probe *probe)
{
	struct http *http = checkd->http;
	struct request *request = calloc(1, sizeof(*request));

	probe->http = request;
	if (request) {
		request->grpc_status = -1;
		request->fd = -1;
		request->checkd = checkd;
		request->easy = curl_easy_init();
	}
	if (!request || !request->easy || !prepare(probe, request) ||
	    curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
		probe_end(checkd, probe, LB_OUTCOME_NONE, ENOMEM);
}

void probe_http_abandon(struct checkd *checkd, struct probe *probe)
{
	struct http *http = checkd->http;
	struct request *request = probe->http;

	if (request->easy) {
		curl_multi_remove_handle(http->multi, request->easy);
		curl_easy_cleanup(request->easy);
	}
	curl_slist_free_all(request->headers);
	curl_slist_free_all(request->connect_to);
	free(request);
	probe->http = NULL;
}
