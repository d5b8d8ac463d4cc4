// SPDX-License-Identifier: GPL-2.0-only
/*
 * load ADDRESS PORT [OPTION...]: a client of serve that knows when something is broken. It keeps long
 * connections, on each of which it asks now and then; makes short ones without end; and asks over UDP flows.
 * SIGTERM ends it: what is on the way is awaited, then it reports. Exit status 0: nothing was broken; 1:
 * something was.
 *
 * A connection or flow is broken if it is reset or closed, if another server answers than before or the
 * answer is not the one awaited, or if an answer does not come within --stall. A broken one is counted once
 * and given up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

enum kind { LONG, SHORT, UDP, KINDS };
static const char *const kind_names[KINDS] = { "long", "short", "udp" };

enum state { OFF, CONNECTING, IDLE, ASKED, BROKEN };

#define SERVERS_MAX 64
#define TICK_MS     10u

struct flow {
	enum kind kind;
	enum state state;
	int fd, server; /* server: index of the first that answered, or -1 */
	__u32 number, sequence;
	__u64 asked_ms;    /* the request that has not been answered */
	__u64 next_ms;     /* when to ask or connect next */
	__u64 answered_ms; /* UDP: the last answer */
	size_t have;       /* bytes of the answer */
	struct message answer;
};

static struct tally {
	__u64 opened, broken, requests, answers;
	__u64 by[SERVERS_MAX]; /* long, udp: flows that this server answers; short: connections it answered */
	__u64 broken_by[SERVERS_MAX]; /* of its flows */
} tallies[KINDS];

static struct {
	struct sockaddr_storage address;
	socklen_t address_length;
	unsigned int count[KINDS];
	unsigned int interval_ms, pause_ms, stall_ms;
	const char *report;
} options = { .interval_ms = 500, .pause_ms = 100, .stall_ms = 5000 };

static char servers[SERVERS_MAX][MESSAGE_NAME];
static int n_servers;
static __u64 slowest_ms;
static int epoll;
static volatile sig_atomic_t stopping;

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static int server_index(const char *name)
{
	for (int i = 0; i < n_servers; i++)
		if (strncmp(servers[i], name, MESSAGE_NAME) == 0)
			return i;
	if (n_servers == SERVERS_MAX)
		return SERVERS_MAX - 1;
	snprintf(servers[n_servers], MESSAGE_NAME, "%.*s", MESSAGE_NAME - 1, name);
	return n_servers++;
}

static __u16 local_port(int fd)
{
	struct sockaddr_in6 address = {};
	socklen_t length = sizeof(address);

	/* The port is at the same place for both families. */
	return getsockname(fd, (struct sockaddr *)&address, &length) < 0 ? 0 : ntohs(address.sin6_port);
}

/* --- what becomes of flows -------------------------------------------------------------------------------
 */

static void close_flow(struct flow *flow)
{
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
	flow->have = 0;
}

static void break_flow(struct flow *flow, const char *why, const char *detail)
{
	struct tally *tally = &tallies[flow->kind];

	tally->broken++;
	if (flow->server >= 0)
		tally->broken_by[flow->server]++;
	if (tally->broken <= 20)
		fprintf(stderr, "load: %s %u from port %u, request %u, of %s: %s%s%s\n",
			kind_names[flow->kind], flow->number, local_port(flow->fd), flow->sequence,
			flow->server >= 0 ? servers[flow->server] : "nobody yet", why, detail[0] ? ": " : "",
			detail);
	if (flow->kind != SHORT && flow->server >= 0)
		tally->by[flow->server]--;
	close_flow(flow);
	flow->state = flow->kind == SHORT ? OFF : BROKEN;
	flow->next_ms = now_ms() + options.pause_ms;
}

static void open_flow(struct flow *flow, __u64 now)
{
	int type = flow->kind == UDP ? SOCK_DGRAM : SOCK_STREAM, on = 1;
	struct epoll_event event = { .events = EPOLLIN | (flow->kind == UDP ? 0 : EPOLLOUT),
				     .data.ptr = flow };

	flow->fd = socket(options.address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	flow->server = -1;
	flow->asked_ms = flow->answered_ms = now;
	flow->sequence = 0;
	tallies[flow->kind].opened++;
	if (flow->fd < 0) {
		break_flow(flow, "socket", strerror(errno));
		return;
	}
	if (type == SOCK_STREAM)
		setsockopt(flow->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(flow->fd, (struct sockaddr *)&options.address, options.address_length) < 0 &&
	    errno != EINPROGRESS) {
		break_flow(flow, "connect", strerror(errno));
		return;
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, flow->fd, &event);
	flow->state = type == SOCK_STREAM ? CONNECTING : IDLE;
	flow->next_ms = now;
}

static void ask(struct flow *flow, __u64 now)
{
	struct message message = { .magic = MESSAGE_MAGIC,
				   .flow = flow->number,
				   .sequence = ++flow->sequence };

	tallies[flow->kind].requests++;
	flow->asked_ms = now;
	flow->next_ms = now + options.interval_ms;
	if (flow->kind != UDP)
		flow->state = ASKED;
	if (send(flow->fd, &message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
		break_flow(flow, "send", strerror(errno));
}

static void answered(struct flow *flow, __u64 now)
{
	const struct message *answer = &flow->answer;
	struct tally *tally = &tallies[flow->kind];
	int server;

	/* Answers over UDP may be late: an older one is as good. */
	if (answer->magic != MESSAGE_MAGIC || answer->flow != flow->number ||
	    (flow->kind == UDP ? answer->sequence > flow->sequence : answer->sequence != flow->sequence)) {
		break_flow(flow, "an answer to something else", "");
		return;
	}
	server = server_index(answer->name);
	tally->answers++;
	if (flow->server < 0)
		tally->by[server]++;
	else if (flow->server != server) {
		break_flow(flow, "another server answers", servers[server]);
		return;
	}
	flow->server = server;
	flow->answered_ms = now;
	if (flow->kind != UDP && now - flow->asked_ms > slowest_ms)
		slowest_ms = now - flow->asked_ms;
	if (flow->kind == UDP)
		return;
	flow->state = IDLE;
	if (flow->kind == SHORT) {
		close_flow(flow);
		flow->state = OFF;
		flow->next_ms = now + options.pause_ms;
	}
}

static void connected(struct flow *flow, __u64 now)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = flow };
	socklen_t length = sizeof(int);
	int error = 0;

	getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error) {
		break_flow(flow, "connect", strerror(error));
		return;
	}
	epoll_ctl(epoll, EPOLL_CTL_MOD, flow->fd, &event);
	flow->state = IDLE;
	if (now - flow->asked_ms > slowest_ms)
		slowest_ms = now - flow->asked_ms;
	ask(flow, now);
}

static void readable(struct flow *flow, __u64 now)
{
	while (flow->fd >= 0) {
		ssize_t n = recv(flow->fd, (char *)&flow->answer + flow->have,
				 sizeof(flow->answer) - flow->have, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			break_flow(flow, n < 0 ? "recv" : "closed by the server",
				   n < 0 ? strerror(errno) : "");
			return;
		}
		flow->have += n;
		if (flow->have < sizeof(flow->answer))
			continue;
		flow->have = 0;
		answered(flow, now);
	}
}

/* What is due. Returns whether something is on the way. */
static bool tend(struct flow *flow, __u64 now)
{
	switch (flow->state) {
	case OFF:
		if (!stopping && now >= flow->next_ms)
			open_flow(flow, now);
		break;
	case CONNECTING:
	case ASKED:
		if (now - flow->asked_ms > options.stall_ms)
			break_flow(flow, flow->state == ASKED ? "no answer" : "no connection",
				   "within --stall");
		break;
	case IDLE:
		if (flow->kind == UDP && flow->sequence > 0 && now - flow->answered_ms > options.stall_ms)
			break_flow(flow, "no answer", "within --stall");
		else if (!stopping && now >= flow->next_ms)
			ask(flow, now);
		return flow->kind == UDP && flow->fd >= 0 && flow->answered_ms < flow->asked_ms;
	case BROKEN:
		break;
	}
	return flow->state == CONNECTING || flow->state == ASKED;
}

/* --- report ----------------------------------------------------------------------------------------------
 */

static void write_by(FILE *out, const char *name, const __u64 *by)
{
	fprintf(out, ", \"%s\": {", name);
	for (int i = 0; i < n_servers; i++)
		fprintf(out, "%s\"%s\": %llu", i ? ", " : "", servers[i], by[i]);
	fprintf(out, "}");
}

static void write_report(FILE *out, bool done)
{
	fprintf(out, "{");
	for (int kind = 0; kind < KINDS; kind++) {
		const struct tally *tally = &tallies[kind];

		fprintf(out,
			"\"%s\": { \"opened\": %llu, \"broken\": %llu, \"requests\": %llu, \"answers\": %llu",
			kind_names[kind], tally->opened, tally->broken, tally->requests, tally->answers);
		write_by(out, "by", tally->by);
		write_by(out, "broken_by", tally->broken_by);
		fprintf(out, " }, ");
	}
	fprintf(out, "\"slowest_ms\": %llu, \"done\": %s }\n", slowest_ms, done ? "true" : "false");
}

/* Replaces the file at once, so that nobody reads half of one. */
static void report(bool done)
{
	char path[4096];
	FILE *out;

	if (!options.report) {
		if (done)
			write_report(stdout, true);
		return;
	}
	snprintf(path, sizeof(path), "%s.new", options.report);
	out = fopen(path, "we");
	if (!out) {
		perror(path);
		exit(2);
	}
	write_report(out, done);
	fclose(out);
	rename(path, options.report);
}

/* --- main ------------------------------------------------------------------------------------------------
 */

static int run(struct flow *flows, size_t n_flows)
{
	__u64 report_ms = 0, deadline_ms = 0;
	bool busy = true;

	while (!stopping || busy) {
		struct epoll_event events[256];
		int n = epoll_wait(epoll, events, 256, TICK_MS);
		__u64 now = now_ms();

		for (int i = 0; i < n; i++) {
			struct flow *flow = events[i].data.ptr;

			if (flow->fd < 0)
				continue;
			if (flow->state == CONNECTING)
				connected(flow, now);
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				readable(flow, now);
		}
		busy = false;
		for (size_t i = 0; i < n_flows; i++)
			busy |= tend(&flows[i], now);
		if (now >= report_ms) {
			report(false);
			report_ms = now + 200;
		}
		if (stopping && !deadline_ms)
			deadline_ms = now + options.stall_ms + 1000;
		if (deadline_ms && now > deadline_ms)
			break;
	}
	report(true);
	return tallies[LONG].broken || tallies[SHORT].broken || tallies[UDP].broken;
}

static void on_signal(int number)
{
	stopping = 1;
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: load ADDRESS PORT [--long N] [--short N] [--udp N] [--interval MS] [--pause MS] "
		"[--stall MS]"
		" [--report FILE]\n"
		"  --long, --short, --udp   connections kept, made at once without end, flows (0)\n"
		"  --interval               between two requests of a long connection or a UDP flow (500)\n"
		"  --pause                  between two short connections (100)\n"
		"  --stall                  without an answer it is broken (5000)\n");
	exit(2);
}

static void parse_address(const char *address, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&options.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&options.address;

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		options.address_length = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		options.address_length = sizeof(*v6);
	} else {
		usage();
	}
	v4->sin_port = htons(atoi(port)); /* at the same place for both */
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "long", required_argument, NULL, LONG },  { "short", required_argument, NULL, SHORT },
		{ "udp", required_argument, NULL, UDP },    { "interval", required_argument, NULL, 'i' },
		{ "pause", required_argument, NULL, 'p' },  { "stall", required_argument, NULL, 's' },
		{ "report", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 },
	};
	struct rlimit files = { 65536, 65536 };
	struct flow *flows;
	size_t n_flows = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option >= LONG && option < KINDS)
			options.count[option] = atoi(optarg);
		else if (option == 'i')
			options.interval_ms = atoi(optarg);
		else if (option == 'p')
			options.pause_ms = atoi(optarg);
		else if (option == 's')
			options.stall_ms = atoi(optarg);
		else if (option == 'r')
			options.report = optarg;
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	parse_address(argv[optind], argv[optind + 1]);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	flows = calloc(options.count[LONG] + options.count[SHORT] + options.count[UDP] + 1, sizeof(*flows));
	if (!flows || epoll < 0)
		return 2;
	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < options.count[kind]; i++, n_flows++) {
			/* They do not all begin at once. */
			__u64 spread = kind == SHORT ? options.pause_ms : options.interval_ms;

			flows[n_flows] =
				(struct flow){ .kind = kind, .fd = -1, .server = -1, .number = n_flows };
			flows[n_flows].next_ms = now_ms() + spread * i / options.count[kind];
		}
	return run(flows, n_flows);
}
