// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of bench-peers: many connections at once in one thread.
 *
 *	peers_client short ADDRESS[,ADDRESS...] PORT CONNECTIONS SECONDS
 *		connects, asks once, reads to the end; again and again
 *	peers_client keep ADDRESS[,ADDRESS...] PORT CONNECTIONS SECONDS
 *		asks again and again on connections that stay
 *	peers_client hold ADDRESS[,ADDRESS...] PORT CONNECTIONS SECONDS SOURCE...
 *		opens so many from these addresses, asks once on each, says so, and keeps them until
 *		standard input ends; resets them then, so that nothing of them stays behind
 *
 * Prints JSON: done (connections or requests), failed, seconds, and percentiles of the time that each took. A
 * connection that takes longer than two seconds has failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "peers.h"

#define TIMEOUT_NS 2000000000ull
#define OPENING    256 /* of held connections, at once */
#define TO_MAX     16

enum mode { SHORT, KEEP, HOLD };

struct connection {
	int fd; /* -1: none */
	bool connected;
	size_t got; /* bytes of the answer */
	__u64 begin_ns;
};

struct client {
	enum mode mode;
	int epoll;
	struct sockaddr_in to[TO_MAX];
	size_t n_to;
	struct in_addr *sources;
	size_t n_sources;
	struct connection *connections;
	size_t n, opened, answered; /* held connections */
	__u64 done, failed, last_errno;
	__u64 histogram[LOAD_BUCKETS];
};

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
}

static void open_one(struct client *client, struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in *to;

	*c = (struct connection){ .fd = fd, .begin_ns = now_ns() };
	if (fd < 0) {
		client->failed++;
		client->last_errno = (__u64)errno;
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (client->mode == HOLD) {
		struct linger reset = { .l_onoff = 1 };

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (client->n_sources) {
		struct sockaddr_in from = {
			.sin_family = AF_INET,
			.sin_addr = client->sources[(size_t)(c - client->connections) % client->n_sources],
		};

		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		bind(fd, (struct sockaddr *)&from, sizeof(from));
	}
	to = &client->to[(size_t)(c - client->connections) % client->n_to];
	if ((connect(fd, (struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		client->failed++;
		client->last_errno = (__u64)errno;
		close(fd);
		c->fd = -1;
	}
}

static void close_one(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void fail(struct client *client, struct connection *c, int error)
{
	client->failed++;
	client->last_errno = (__u64)error;
	close_one(c);
}

static bool ask(struct connection *c)
{
	static const char request[REQUEST_BYTES] = "request";

	c->got = 0;
	return send(c->fd, request, sizeof(request), MSG_NOSIGNAL) == sizeof(request);
}

static void took(struct client *client, const struct connection *c)
{
	client->histogram[load_bucket(now_ns() - c->begin_ns)]++;
	client->done++;
}

/* The answer is there (keep, hold), or the other side has closed after it (short). */
static void answered(struct client *client, struct connection *c)
{
	took(client, c);
	if (client->mode == SHORT) {
		close_one(c);
		open_one(client, c);
		return;
	}
	if (client->mode == HOLD) {
		client->answered++;
		return;
	}
	c->begin_ns = now_ns();
	if (!ask(c))
		fail(client, c, errno);
}

static void read_some(struct client *client, struct connection *c)
{
	char buffer[2 * ANSWER_BYTES];
	ssize_t n;

	while (c->fd >= 0) {
		n = recv(c->fd, buffer, sizeof(buffer), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (n == 0 && (client->mode != SHORT || c->got != ANSWER_BYTES))) {
			fail(client, c, n < 0 ? errno : ECONNRESET);
			return;
		}
		c->got += (size_t)n;
		if (client->mode == SHORT ? n == 0 : c->got == ANSWER_BYTES) {
			answered(client, c);
			return;
		}
	}
}

static void event(struct client *client, struct connection *c, __u32 events)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (c->fd < 0)
		return;
	if (!c->connected && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		c->connected = true;
		if (error || !ask(c)) {
			fail(client, c, error ? error : errno);
			return;
		}
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		read_some(client, c);
}

/* Gives up on what takes too long, opens again what has failed, and more of the held ones. */
static void keep_up(struct client *client)
{
	__u64 now = now_ns();

	if (client->mode == HOLD) {
		while (client->opened < client->n &&
		       client->opened - client->answered - client->failed < OPENING)
			open_one(client, &client->connections[client->opened++]);
		return;
	}
	for (size_t i = 0; i < client->n; i++) {
		struct connection *c = &client->connections[i];

		if (c->fd >= 0 && now - c->begin_ns > TIMEOUT_NS)
			fail(client, c, ETIMEDOUT);
		if (c->fd < 0)
			open_one(client, c);
	}
}

static __u64 percentile(const struct client *client, double share)
{
	__u64 seen = 0;

	for (__u32 i = 0; i < LOAD_BUCKETS; i++) {
		seen += client->histogram[i];
		if (seen && (double)seen >= share * (double)client->done)
			return load_value(i);
	}
	return 0;
}

static void run(struct client *client, double seconds)
{
	__u64 begin = now_ns(), end = begin + (__u64)(seconds * 1e9), looked = 0, now;
	struct epoll_event events[256];

	while ((now = now_ns()) < end) {
		int n;

		if (client->mode == HOLD && client->answered + client->failed >= client->n)
			break;
		if (now - looked > 1000000) {
			keep_up(client);
			looked = now;
		}
		n = epoll_wait(client->epoll, events, 256, 1);
		for (int i = 0; i < n; i++)
			event(client, events[i].data.ptr, events[i].events);
	}
	printf("{ \"done\": %llu, \"failed\": %llu, \"last_error\": \"%s\", \"seconds\": %.3f, \"p50_us\": "
	       "%.1f, "
	       "\"p99_us\": %.1f, \"p999_us\": %.1f }\n",
	       client->done, client->failed, client->last_errno ? strerror((int)client->last_errno) : "",
	       (double)(now_ns() - begin) / 1e9, (double)percentile(client, 0.5) / 1e3,
	       (double)percentile(client, 0.99) / 1e3, (double)percentile(client, 0.999) / 1e3);
	fflush(stdout);
}

static void add_addresses(struct client *client, char *list, const char *port)
{
	for (char *word = strtok(list, ","); word && client->n_to < TO_MAX; word = strtok(NULL, ",")) {
		struct sockaddr_in *to = &client->to[client->n_to];

		*to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((__u16)atoi(port)) };
		client->n_to += inet_pton(AF_INET, word, &to->sin_addr) == 1;
	}
}

int main(int argc, char **argv)
{
	struct client client = { .epoll = epoll_create1(EPOLL_CLOEXEC) };

	if (argc < 6 || client.epoll < 0)
		return 2;
	client.mode = argv[1][0] == 's' ? SHORT : argv[1][0] == 'k' ? KEEP : HOLD;
	add_addresses(&client, argv[2], argv[3]);
	client.n = strtoul(argv[4], NULL, 0);
	client.n_sources = (size_t)argc - 6;
	client.connections = calloc(client.n, sizeof(*client.connections));
	client.sources = calloc(client.n_sources + 1, sizeof(*client.sources));
	if (!client.connections || !client.sources || !client.n_to)
		return 2;
	for (size_t i = 0; i < client.n_sources; i++)
		inet_pton(AF_INET, argv[6 + i], &client.sources[i]);
	for (size_t i = 0; i < client.n; i++)
		client.connections[i].fd = -1;
	run(&client, atof(argv[5]));
	while (client.mode == HOLD && getchar() != EOF)
		;
	free(client.connections);
	free(client.sources);
	return 0;
}
