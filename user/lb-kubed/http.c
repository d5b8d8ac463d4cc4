// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests by libcurl's multi interface. To the API server: HTTP/1.1 over TLS, each watch on a connection of
 * its own, so that one that is lost or slow is one alone. The token is read from its file again when that
 * changes. No redirect is followed, no proxy asked, and what is kept of an answer is bounded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define ANSWER_MAX  (8u << 20)
#define TOKEN_MAX   (64u << 10)
#define TOKEN_MS    60000 /* it is read again after so long, whatever its file says */
#define CONNECT_MS  3000L
#define CONNECTIONS 64L

/* --- the token ---------------------------------------------------------------------------------------------
 */

static char *read_token(const char *path)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	_cleanup_(freep) char *token = calloc(1, TOKEN_MAX);
	char *bearer = NULL;

	if (!file || !token)
		return NULL;
	token[fread(token, 1, TOKEN_MAX - 1, file)] = 0;
	token[strcspn(token, "\r\n \t")] = 0;
	if (!token[0] || asprintf(&bearer, "Authorization: Bearer %s", token) < 0)
		return NULL;
	return bearer;
}

/* The kubelet puts a new one into its place before the old one ends. */
static void refresh_token(struct kubed *kubed)
{
	const char *path = kubed->options.token;
	__s64 mtime_ns = 0;
	struct stat status;
	char *bearer;

	if (!path)
		return;
	if (stat(path, &status) == 0)
		mtime_ns = status.st_mtim.tv_sec * 1000000000ll + status.st_mtim.tv_nsec;
	if (kubed->bearer && mtime_ns == kubed->bearer_mtime_ns &&
	    now_ms() - kubed->bearer_read_ms < TOKEN_MS)
		return;
	bearer = read_token(path);
	if (!bearer) {
		if (!kubed->bearer)
			say("Failed to read the token file=%s", path);
		return;
	}
	free(kubed->bearer);
	kubed->bearer = bearer;
	kubed->bearer_mtime_ns = mtime_ns;
	kubed->bearer_read_ms = now_ms();
}

/* --- answers -----------------------------------------------------------------------------------------------
 */

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
	struct request *request = context;
	long status = 0;
	char *larger;

	n *= size;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (request->data && status == 200)
		return request->data(request, bytes, n) < 0 ? 0 : n;
	if (request->n_answer + n > ANSWER_MAX)
		return 0;
	larger = realloc(request->answer, request->n_answer + n + 1);
	if (!larger)
		return 0;
	memcpy(larger + request->n_answer, bytes, n);
	request->answer = larger;
	request->n_answer += n;
	larger[request->n_answer] = 0;
	return n;
}

static void free_request(struct request *request)
{
	if (request->easy) {
		curl_multi_remove_handle(request->kubed->multi, request->easy);
		curl_easy_cleanup(request->easy);
	}
	curl_slist_free_all(request->headers);
	free(request->body);
	free(request->answer);
	free(request);
}

void http_abandon(struct request *request)
{
	if (request)
		free_request(request);
}

/* How many endpoints a node's service proxy says that it has; 0: it does not say. */
static __u32 read_endpoints(CURL *easy)
{
	struct curl_header *header;
	unsigned long number;
	char *end;

	if (curl_easy_header(easy, "X-Load-Balancing-Endpoint-Weight", 0, CURLH_HEADER, -1, &header) !=
	    CURLHE_OK)
		return 0;
	number = strtoul(header->value, &end, 10);
	return header->value[0] < '0' || header->value[0] > '9' || *end || number > 1000000 ? 0
											    : (__u32)number;
}

void http_collect(struct kubed *kubed)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(kubed->multi, &left))) {
		struct request *request = NULL;
		curl_off_t retry_after = 0;
		long status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RETRY_AFTER, &retry_after);
		request->status = (int)status;
		request->retry_after_s = retry_after > 0 && retry_after < 86400 ? (__u32)retry_after : 0;
		request->endpoints = read_endpoints(message->easy_handle);
		request->code = message->data.result;
		request->ok = request->code == CURLE_OK;
		if (status == 401)
			kubed->bearer_mtime_ns = -1;
		kubed->counts.errors += !request->ok || status >= 400;
		request->done(request);
		free_request(request);
	}
}

const char *http_why(const struct request *request, char buffer[300])
{
	_cleanup_(cjson_freep) cJSON *json = request->answer ? cJSON_Parse(request->answer) : NULL;
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(error ? error : json, "message");

	if (!request->status)
		snprintf(buffer, 300, "no answer: %s", curl_easy_strerror(request->code));
	else if (cJSON_IsString(message))
		snprintf(buffer, 300, "%d %s", request->status, message->valuestring);
	else
		snprintf(buffer, 300, "%d", request->status);
	for (char *at = buffer; *at; at++)
		if ((unsigned char)*at < ' ' || *at == '"')
			*at = ' ';
	return buffer;
}

/* --- asking ------------------------------------------------------------------------------------------------
 */

static bool add_header(struct request *request, const char *header)
{
	struct curl_slist *longer = curl_slist_append(request->headers, header);

	if (longer)
		request->headers = longer;
	return longer;
}

static bool set_headers(struct request *request, const struct asking *asking)
{
	char type[80];
	bool ok = add_header(request, "Expect:") && add_header(request, "Accept: application/json");

	snprintf(type, sizeof(type), "Content-Type: %s", asking->type ? asking->type : "application/json");
	if (ok && asking->body)
		ok = add_header(request, type);
	if (ok && asking->peer == PEER_API) {
		refresh_token(request->kubed);
		if (request->kubed->bearer)
			ok = add_header(request, request->kubed->bearer);
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	return ok;
}

static bool set_url(struct request *request, const struct asking *asking)
{
	const struct options *options = &request->kubed->options;
	_cleanup_(freep) char *url = NULL;
	const char *base = asking->peer == PEER_API     ? options->api
			   : asking->peer == PEER_AGENT ? "http://weir"
							: "";

	if (asprintf(&url, "%s%s", base, asking->url) < 0) {
		url = NULL;
		return false;
	}
	if (asking->peer == PEER_AGENT)
		curl_easy_setopt(request->easy, CURLOPT_UNIX_SOCKET_PATH, options->socket);
	if (asking->peer == PEER_API && options->ca)
		curl_easy_setopt(request->easy, CURLOPT_CAINFO, options->ca);
	if (asking->peer == PEER_NODE) {
		curl_easy_setopt(request->easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(request->easy, CURLOPT_FORBID_REUSE, 1L);
	}
	return curl_easy_setopt(request->easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool prepare(struct request *request, const struct asking *asking)
{
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 60L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "lb-kubed");
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	if (asking->timeout_ms)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)asking->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, asking->method);
	if (request->body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	}
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	return set_headers(request, asking) && set_url(request, asking);
}

struct request *http_ask(struct kubed *kubed, const struct asking *asking)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request) {
		free(asking->body);
		return NULL;
	}
	request->kubed = kubed;
	request->body = asking->body;
	request->data = asking->data;
	request->done = asking->done;
	request->context = asking->context;
	request->easy = curl_easy_init();
	if (!request->easy || !prepare(request, asking) ||
	    curl_multi_add_handle(kubed->multi, request->easy) != CURLM_OK) {
		free_request(request);
		return NULL;
	}
	kubed->counts.requests++;
	return request;
}

int http_start(struct kubed *kubed)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	kubed->multi = curl_multi_init();
	if (!kubed->multi)
		return -ENOMEM;
	curl_multi_setopt(kubed->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(kubed->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
	return 0;
}

void http_stop(struct kubed *kubed)
{
	curl_multi_cleanup(kubed->multi);
	curl_global_cleanup();
	free(kubed->bearer);
}
