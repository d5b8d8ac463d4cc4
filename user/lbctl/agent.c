// SPDX-License-Identifier: GPL-2.0-only
/*
 * The HTTP client, on libcurl. One connection is kept for the life of the program, so that verbs that ask
 * again and again do not connect each time. Bounded: in time by --timeout, in memory by
 * AGENT_ANSWER_BYTES_MAX.
 */
#include "agent.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRESS_AFTER_US 400000

struct transfer {
	const struct lbctl *c;
	char *text;
	size_t length, room;
	char detail[CURL_ERROR_SIZE]; /* curl's words on what failed */
	bool too_long;
	bool shown;         /* progress stands on the terminal */
	curl_off_t next_us; /* when it changes next */
};

static size_t on_data(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;

	n *= size;
	if (n > AGENT_ANSWER_BYTES_MAX - t->length) {
		t->too_long = true;
		return CURL_WRITEFUNC_ERROR;
	}
	if (t->length + n + 1 > t->room) {
		t->room = (t->length + n + 1) * 2;
		t->text = realloc(t->text, t->room);
		if (!t->text)
			lbctl_memory();
	}
	memcpy(t->text + t->length, data, n);
	t->length += n;
	t->text[t->length] = 0;
	return n;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	struct transfer *t = user;
	curl_off_t us = 0;

	if (!t->c->progress)
		return 0;
	curl_easy_getinfo(t->c->curl, CURLINFO_TOTAL_TIME_T, &us);
	if (us < PROGRESS_AFTER_US || us < t->next_us)
		return 0;
	t->next_us = us + PROGRESS_AFTER_US;
	t->shown = true;
	fprintf(stderr, "\r%s ... %.0f s ", t->c->progress, (double)us / 1e6);
	return 0;
}

static void progress_end(const struct transfer *t)
{
	if (t->shown)
		fputs("\r\033[K", stderr);
}

/* Why the socket cannot be connected to, as connect(2) says. */
static int connect_errno(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	r = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return r;
}

cJSON *agent_connect_error(const struct lbctl *c)
{
	const char *path = c->socket;
	int code = connect_errno(path);

	switch (code) {
	case ENOENT:
		return lbctl_error("there is no socket at %s: is lbd running? (systemctl status lbd; "
				   "another path: --socket PATH or LBCTL_SOCKET)",
				   path);
	case ECONNREFUSED:
		return lbctl_error("nobody listens at %s: is lbd running? (systemctl status lbd)", path);
	case EACCES:
	case EPERM:
		return lbctl_error("not allowed to open %s: be root, or join the group that owns the socket",
				   path);
	case EAGAIN:
		return lbctl_error("lbd does not take connections at %s: its queue is full", path);
	default:
		return lbctl_error("cannot connect to %s: %s", path, code ? strerror(code) : "try again");
	}
}

static cJSON *transfer_error(const struct lbctl *c, const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (!c->remote)
			return agent_connect_error(c);
		return lbctl_error(
			"cannot connect to %s: is it api.metrics of that balancer, and lets its host in?",
			c->socket);
	case CURLE_OPERATION_TIMEDOUT:
		return lbctl_error("no answer from %s within %g s (longer: --timeout S)", c->socket,
				   c->timeout_s);
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
		return lbctl_error("%s closed the connection after %zu bytes, before the answer was complete",
				   c->socket, t->length);
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_WRITE_ERROR:
		if (t->too_long || code == CURLE_FILESIZE_EXCEEDED)
			return lbctl_error("the answer from %s is longer than %u MiB: given up", c->socket,
					   AGENT_ANSWER_BYTES_MAX >> 20);
		break;
	default:
		break;
	}
	return lbctl_error("%s does not answer as lbd does: %s", c->socket,
			   *t->detail ? t->detail : curl_easy_strerror(code));
}

static int prepare(struct lbctl *c, CURL *curl, const struct request *request, struct transfer *t,
		   struct curl_slist *headers)
{
	char url[2048];

	if (snprintf(url, sizeof(url), "%s%s", c->remote ? c->socket : "http://weir", request->path) >=
	    (int)sizeof(url))
		return -ENAMETOOLONG;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a service may be called ".." */
	if (!c->remote)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, c->remote ? "http,https" : "http");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(c->timeout_s * 1000));
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->timeout_s * 1000));
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)AGENT_ANSWER_BYTES_MAX);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (request->body || strcmp(request->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
	}
	return 0;
}

static void slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* One exchange, whatever its meaning. */
static int exchange(struct lbctl *c, const struct request *request, struct transfer *t, long *ret_status,
		    cJSON **ret_error)
{
	_cleanup_(slist_freep) struct curl_slist *headers =
		curl_slist_append(NULL, "Content-Type: application/json");
	CURLcode code;

	/* Without "Expect: 100-continue": lbd would have to answer it before it sees a long body. */
	if (!headers || !curl_slist_append(headers, "Expect:"))
		lbctl_memory();
	if (!c->remote && strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*ret_error = lbctl_error("the socket's path is longer than %zu bytes: %s",
					 sizeof(((struct sockaddr_un *)0)->sun_path) - 1, c->socket);
		return -1;
	}
	if (!c->curl && (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK || !(c->curl = curl_easy_init())))
		lbctl_memory();
	if (prepare(c, c->curl, request, t, headers) < 0) {
		*ret_error = lbctl_error("a name is too long");
		return -1;
	}
	code = curl_easy_perform(c->curl);
	progress_end(t);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, ret_status);
	curl_easy_reset(c->curl); /* nothing may point to what ends here; the connection stays */
	if (code == CURLE_OK)
		return 0;
	*ret_error = transfer_error(c, t, code);
	return -1;
}

/* What the answer's status and JSON mean. */
static cJSON *judge(const struct lbctl *c, const struct request *request, long status, cJSON *root,
		    int parsed)
{
	cJSON *error = cJSON_IsObject(root) ? cJSON_GetObjectItemCaseSensitive(root, "error") : NULL;

	if ((status < 200 || status > 299) && cJSON_IsObject(error) &&
	    cJSON_IsString(json_get(error, "message"))) {
		cJSON *plan = cJSON_DetachItemFromObjectCaseSensitive(root, "plan");

		/* The plan that was refused goes with the reason. */
		cJSON_DetachItemViaPointer(root, error);
		if (plan)
			cJSON_AddItemToObject(error, "plan", plan);
		return error;
	}
	if (status < 200 || status > 299)
		return lbctl_error(
			"%s answered %s %s with status %ld and no reason: is it lbd, of this version?",
			c->socket, request->method, request->path, status);
	if (parsed == -E2BIG)
		return lbctl_error("the answer from %s has more than %u values: given up", c->socket,
				   JSON_VALUES_MAX);
	if (parsed == -ENOMEM)
		lbctl_memory();
	if (!cJSON_IsObject(root))
		return lbctl_error("%s answered %s %s with something that is not a JSON object: is it lbd?",
				   c->socket, request->method, request->path);
	if (request->key && !json_get(root, request->key))
		return lbctl_error("%s answered %s %s without \"%s\": is it lbd, of this version?", c->socket,
				   request->method, request->path, request->key);
	return NULL;
}

int agent_try(struct lbctl *c, const struct request *request, struct reply *ret, cJSON **ret_error)
{
	struct transfer t = { .c = c };
	struct reply reply = { 0 };
	cJSON *error = NULL;
	long status = 0;
	int parsed;

	if (exchange(c, request, &t, &status, &error) == 0) {
		parsed = t.text ? json_parse(t.text, t.length, &reply.root) : -EINVAL;
		error = judge(c, request, status, reply.root, parsed);
	}
	reply.text = t.text;
	reply.length = t.length;
	if (error) {
		reply_done(&reply);
		*ret_error = error;
		return -1;
	}
	*ret = reply;
	return 0;
}

int agent_ask(struct lbctl *c, const struct request *request, struct reply *ret)
{
	cJSON *error = NULL;

	if (agent_try(c, request, ret, &error) < 0)
		return lbctl_fail_with(c, error);
	return EXIT_DONE;
}

int agent_get(struct lbctl *c, const char *path, const char *key, struct reply *ret)
{
	struct request request = { .method = "GET", .path = path, .key = key };

	return agent_ask(c, &request, ret);
}

int agent_try_remote(struct lbctl *c, const char *url, const char *path, const char *key, struct reply *ret,
		     cJSON **ret_error)
{
	struct request request = { .method = "GET", .path = path, .key = key };
	struct lbctl remote = *c;
	size_t n = strlen(url);
	_cleanup_(freep) char *base = NULL;
	int r;

	while (n && url[n - 1] == '/')
		n--;
	base = lbctl_format("%.*s", (int)n, url);
	remote.socket = base;
	remote.remote = true;
	remote.curl = NULL;
	r = agent_try(&remote, &request, ret, ret_error);
	if (remote.curl)
		curl_easy_cleanup(remote.curl);
	return r;
}

char *agent_escape(const char *name)
{
	char *escaped = malloc(strlen(name) * 3 + 1), *p = escaped;

	if (!escaped)
		lbctl_memory();
	for (; *name; name++) {
		unsigned char byte = (unsigned char)*name;

		if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
		    (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.')
			*p++ = (char)byte;
		else
			p += sprintf(p, "%%%02X", byte);
	}
	*p = 0;
	return escaped;
}

void reply_print(const struct reply *reply)
{
	size_t length = reply->length;

	while (length && (reply->text[length - 1] == '\n' || reply->text[length - 1] == '\r'))
		length--;
	fwrite(reply->text, 1, length, stdout);
	putchar('\n');
}

void reply_done(struct reply *reply)
{
	cJSON_Delete(reply->root);
	free(reply->text);
	*reply = (struct reply){ 0 };
}

void agent_done(struct lbctl *c)
{
	if (!c->curl)
		return;
	curl_easy_cleanup(c->curl);
	c->curl = NULL;
	curl_global_cleanup();
}
