// SPDX-License-Identifier: GPL-2.0-only
/*
 * capture: writes what lbd streams (pcapng) to a file or to standard output as it comes, and counts it.
 * SIGINT and SIGTERM end a capture in good order: our side of the connection is shut down, lbd then sends the
 * statistics and ends the answer. What is written always ends with a whole block.
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lbctl/agent.h"
#include "lbctl/capture.h"
#include "lbctl/format.h"
#include "packet/pcapng.h"

#define ERROR_BYTES_MAX (64u << 10)
#define POLL_MS         1000

struct recording {
	struct lbctl *c;
	CURL *curl;
	const char *file; /* "-": standard output */
	FILE *out;        /* NULL until the first byte comes */
	bool into;        /* out is a caller's, who says what there is to say */
	int write_error;  /* errno */
	bool broken;      /* what comes is no pcapng */
	struct lb_pcapng_scan scan;
	char head[8]; /* what comes before it is known to be a capture */
	size_t pending;
	unsigned long long bytes; /* written */
	char *error;              /* body of an answer that is an error */
	size_t error_length;
	int socket;
	bool stopping;
	char detail[CURL_ERROR_SIZE];
};

/* Keeps the connection's socket for half-closing it. */
static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	struct recording *recording = user;

	recording->socket = fd;
	return CURL_SOCKOPT_OK;
}

static bool keep_error(struct recording *recording, const char *data, size_t n)
{
	char *error = recording->error_length + n <= ERROR_BYTES_MAX
			      ? realloc(recording->error, recording->error_length + n + 1)
			      : NULL;

	if (!error)
		return false;
	memcpy(error + recording->error_length, data, n);
	recording->error = error;
	recording->error_length += n;
	error[recording->error_length] = '\0';
	return true;
}

static bool open_output(struct recording *recording)
{
	recording->out = strcmp(recording->file, "-") == 0 ? stdout : fopen(recording->file, "we");
	if (!recording->out)
		recording->write_error = errno;
	else if (recording->out != stdout)
		lbctl_warn("capturing to %s", recording->file);
	return recording->out;
}

static bool write_out(struct recording *recording, const char *data, size_t n)
{
	if (fwrite(data, 1, n, recording->out) != n || fflush(recording->out) != 0) {
		recording->write_error = errno;
		return false;
	}
	recording->bytes += n;
	return true;
}

static size_t on_data(char *data, size_t size, size_t n, void *user)
{
	struct recording *recording = user;
	long status = 0;

	n *= size;
	curl_easy_getinfo(recording->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return keep_error(recording, data, n) ? n : 0;
	if (lb_pcapng_scan(&recording->scan, data, n) < 0) {
		recording->broken = true;
		return 0;
	}
	if (!recording->scan.begun) {
		memcpy(recording->head + recording->pending, data, n);
		recording->pending += n;
		return n;
	}
	if (!recording->out && !open_output(recording))
		return 0;
	if (recording->pending && !write_out(recording, recording->head, recording->pending))
		return 0;
	recording->pending = 0;
	return write_out(recording, data, n) ? n : 0;
}

static void add(char **query, const char *name, const char *value)
{
	_cleanup_(freep) char *escaped = value ? agent_escape(value) : NULL, *before = *query;

	if (value)
		*query = lbctl_format("%s%c%s=%s", before, strchr(before, '?') ? '&' : '?', name, escaped);
	else
		before = NULL;
}

static char *make_url(const struct lbctl *c)
{
	char *url = lbctl_format("http://weir/v1/capture");

	add(&url, "service", c->option[OPTION_SERVICE]);
	add(&url, "backend", c->option[OPTION_BACKEND]);
	add(&url, "flow", c->option[OPTION_FLOW]);
	add(&url, "count", c->option[OPTION_COUNT]);
	add(&url, "seconds", c->option[OPTION_SECONDS]);
	add(&url, "drops", option_given(c, OPTION_DROPS) ? "1" : NULL);
	return url;
}

static void prepare(struct recording *recording, const char *url)
{
	CURL *curl = recording->curl;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, recording->c->socket);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(recording->c->timeout_s * 1000));
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, recording->detail);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, recording);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, recording);
}

/* SIGINT and SIGTERM as a descriptor; a second one ends lbctl as usual. */
static int watch_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, signals, NULL);
	return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Whether whoever reads our standard output is gone. */
static bool reader_is_gone(const struct recording *recording)
{
	struct pollfd output = { .fd = STDOUT_FILENO };

	return recording->out == stdout && poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

/* Has lbd finish the capture after a signal. */
static void stop_if_asked(struct recording *recording, int fd, const sigset_t *signals)
{
	struct signalfd_siginfo info;

	if (recording->stopping || read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	sigprocmask(SIG_UNBLOCK, signals, NULL);
	recording->stopping = true;
	if (recording->socket >= 0)
		shutdown(recording->socket, SHUT_WR);
}

/* Until the transfer is over, or the agent has said nothing for too long. */
static CURLcode transfer(struct recording *recording)
{
	CURLcode code = CURLE_OPERATION_TIMEDOUT;
	CURLM *multi = curl_multi_init();
	struct curl_waitfd wait = { .events = CURL_WAIT_POLLIN };
	unsigned long long start_ns = 0, now_ns;
	int running = 1, left;
	sigset_t signals;
	CURLMsg *message;
	struct timespec ts;

	if (!multi || curl_multi_add_handle(multi, recording->curl) != CURLM_OK)
		lbctl_memory();
	wait.fd = watch_signals(&signals);
	while (running && curl_multi_perform(multi, &running) == CURLM_OK && running) {
		curl_multi_poll(multi, &wait, wait.fd >= 0, POLL_MS, NULL);
		stop_if_asked(recording, wait.fd, &signals);
		if (reader_is_gone(recording)) {
			recording->write_error = EPIPE;
			break;
		}
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now_ns = (unsigned long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
		start_ns = start_ns ? start_ns : now_ns;
		if (!recording->bytes && now_ns - start_ns > recording->c->timeout_s * 1e9)
			break;
	}
	while ((message = curl_multi_info_read(multi, &left)))
		if (message->msg == CURLMSG_DONE)
			code = message->data.result;
	curl_multi_remove_handle(multi, recording->curl);
	curl_multi_cleanup(multi);
	if (wait.fd >= 0)
		close(wait.fd);
	return code;
}

/* A block that was cut off goes from the file. */
static void trim(struct recording *recording)
{
	struct stat st;

	if (recording->out && !lb_pcapng_scan_complete(&recording->scan) &&
	    fstat(fileno(recording->out), &st) == 0 && S_ISREG(st.st_mode) &&
	    ftruncate(fileno(recording->out), recording->bytes - recording->scan.have) < 0)
		lbctl_warn("cannot cut the unfinished end off %s: %s", recording->file, strerror(errno));
}

static void print_json(const struct recording *recording)
{
	_cleanup_(cjson_freep) cJSON *root = cJSON_CreateObject();
	const struct {
		const char *key;
		unsigned long long value;
	} numbers[] = { { "packets", recording->scan.packets },
			{ "lost", recording->scan.dropped },
			{ "bytes", recording->bytes } };

	if (!root || !cJSON_AddStringToObject(root, "file", recording->file))
		lbctl_memory();
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		cJSON *item = cJSON_AddNumberToObject(root, numbers[i].key, 0);

		if (!item)
			lbctl_memory();
		json_set_u64(item, numbers[i].value);
	}
	json_print(root);
}

static int report(const struct recording *recording)
{
	const struct lb_pcapng_scan *scan = &recording->scan;
	const struct lbctl *c = recording->c;

	if (!scan->statistics)
		return lbctl_fail(
			c, "lbd ended the capture early, after %llu packets; how many were lost is not known",
			scan->packets);
	if (recording->into)
		return EXIT_DONE;
	if (c->json && recording->out != stdout)
		print_json(recording);
	else
		fprintf(stderr, "lbctl: %llu packet%s captured, %llu lost\n", scan->packets,
			scan->packets == 1 ? "" : "s", scan->dropped);
	return EXIT_DONE;
}

/* What the end of the transfer means. */
static int judge(struct recording *recording, CURLcode code)
{
	const struct lbctl *c = recording->c;
	_cleanup_(cjson_freep) cJSON *root = NULL;
	cJSON *error;

	if (recording->error) {
		if (json_parse(recording->error, recording->error_length, &root) == 0 &&
		    (error = cJSON_DetachItemFromObjectCaseSensitive(root, "error")))
			return lbctl_fail_with(c, error);
		return lbctl_fail(c, "%s refuses to capture, for no reason: is it lbd, of this version?",
				  c->socket);
	}
	if (recording->write_error)
		return lbctl_fail(c, "cannot write %s: %s", recording->file,
				  strerror(recording->write_error));
	if (recording->broken)
		return lbctl_fail(c, "%s sends something that is no capture: is it lbd, of this version?",
				  c->socket);
	if (code == CURLE_COULDNT_CONNECT)
		return lbctl_fail_with(c, agent_connect_error(c));
	if (code == CURLE_OPERATION_TIMEDOUT && !recording->bytes)
		return lbctl_fail(c, "no answer from %s within %g s (longer: --timeout S)", c->socket,
				  c->timeout_s);
	if (code != CURLE_OK && !recording->bytes)
		return lbctl_fail(c, "%s does not answer as lbd does: %s", c->socket,
				  *recording->detail ? recording->detail : curl_easy_strerror(code));
	return report(recording);
}

static int check(const struct lbctl *c)
{
	unsigned long long number = 0;

	if (!option_given(c, OPTION_WRITE))
		return lbctl_usage(c, "capture needs -w FILE (or -w - for standard output)");
	if (strcmp(c->option[OPTION_WRITE], "-") == 0 && c->terminal)
		return lbctl_usage(c, "a capture is not for a terminal: give a file, or pipe it into tcpdump "
				      "-r -");
	if (!option_number(c, OPTION_COUNT, 1, 1ull << 40, &number) ||
	    !option_number(c, OPTION_SECONDS, 1, 7 * 86400, &number))
		return EXIT_WRONG_USAGE;
	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return lbctl_fail(c, "the socket's path is too long: %s", c->socket);
	return EXIT_DONE;
}

static int record(struct recording *recording, const char *url)
{
	CURLcode code;
	int r;

	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK || !(recording->curl = curl_easy_init()))
		lbctl_memory();
	prepare(recording, url);
	code = transfer(recording);
	trim(recording);
	if (recording->out && recording->out != stdout && !recording->into && fclose(recording->out) != 0 &&
	    !recording->write_error)
		recording->write_error = errno;
	if (recording->out == stdout && recording->write_error)
		clearerr(stdout); /* said here, not again by main() */
	r = judge(recording, code);
	curl_easy_cleanup(recording->curl);
	curl_global_cleanup();
	free(recording->error);
	return r;
}

int verb_capture(struct lbctl *c)
{
	struct recording recording = { .c = c, .socket = -1 };
	_cleanup_(freep) char *url = NULL;
	int r = check(c);

	if (r != EXIT_DONE)
		return r;
	recording.file = c->option[OPTION_WRITE];
	url = make_url(c);
	return record(&recording, url);
}

int capture_into(struct lbctl *c, const char *query, FILE *out, unsigned long long *ret_lost)
{
	struct recording recording = {
		.c = c, .socket = -1, .file = "a temporary file", .out = out, .into = true
	};
	_cleanup_(freep) char *url = lbctl_format("http://weir/v1/capture?%s", query);
	int r;

	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return lbctl_fail(c, "the socket's path is too long: %s", c->socket);
	r = record(&recording, url);
	*ret_lost = recording.scan.dropped;
	return r;
}
