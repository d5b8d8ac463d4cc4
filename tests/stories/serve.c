// SPDX-License-Identifier: GPL-2.0-only
/*
 * serve NAME PORT: answers requests (message.h) over TCP and UDP, IPv4 and IPv6, with its name. SIGUSR1 has
 * it leave gracefully. One epoll loop; a connection has one request on the way at a time. Runs until it is
 * killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

struct connection {
	int fd;
	size_t have; /* bytes of the request */
	struct message message;
};

static const char *name;
static volatile sig_atomic_t leaving; /* SIGUSR1: no new connections, those there are go on */
static int epoll = -1;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "serve: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_on(int type, const char *port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0, bytes = 4 << 20;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void watch(int fd, void *pointer)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = pointer };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void accept_all(int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = calloc(1, sizeof(*connection));

		if (!connection)
			die("calloc");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		connection->fd = fd;
		watch(fd, connection);
	}
}

/* Returns whether the connection is still of use. */
static int answer_stream(struct connection *connection)
{
	for (;;) {
		ssize_t n = recv(connection->fd, (char *)&connection->message + connection->have,
				 sizeof(connection->message) - connection->have, 0);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return 0;
		connection->have += n;
		if (connection->have < sizeof(connection->message))
			continue;
		connection->have = 0;
		if (connection->message.magic != MESSAGE_MAGIC)
			return 0;
		snprintf(connection->message.name, MESSAGE_NAME, "%s", name);
		if (send(connection->fd, &connection->message, sizeof(connection->message), MSG_NOSIGNAL) < 0)
			return 0;
	}
}

/* The answer comes from the address that the request went to: the VIP, as a rule. */
static void answer_datagrams(int fd)
{
	struct sockaddr_in6 from;
	struct message message;
	char control[256];
	struct iovec vector = { &message, sizeof(message) };

	for (;;) {
		struct msghdr header = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		if (recvmsg(fd, &header, 0) != sizeof(message)) {
			if (errno == EAGAIN)
				return;
			continue;
		}
		if (message.magic != MESSAGE_MAGIC)
			continue;
		for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part))
			if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO)
				((struct in6_pktinfo *)CMSG_DATA(part))->ipi6_ifindex = 0;
		snprintf(message.name, MESSAGE_NAME, "%s", name);
		if (sendmsg(fd, &header, 0) < 0 && errno != EAGAIN)
			perror("serve: sendmsg");
	}
}

static void on_leave(int signal_number)
{
	leaving = 1;
}

/* As a server that stops gracefully: who has been let in is served. */
static void leave(int *listener)
{
	accept_all(*listener);
	close(*listener);
	*listener = -1;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	int stream, datagram;

	if (argc != 3) {
		fprintf(stderr, "usage: serve NAME PORT\n");
		return 2;
	}
	name = argv[1];
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, on_leave);
	setrlimit(RLIMIT_NOFILE, &files);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	stream = listen_on(SOCK_STREAM, argv[2]);
	datagram = listen_on(SOCK_DGRAM, argv[2]);
	watch(stream, &stream);
	watch(datagram, &datagram);
	for (;;) {
		struct epoll_event events[256];
		int n = epoll_wait(epoll, events, 256, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		if (leaving && stream >= 0)
			leave(&stream);
		for (int i = 0; i < n; i++) {
			struct connection *connection = events[i].data.ptr;

			if (events[i].data.ptr == &stream)
				accept_all(stream);
			else if (events[i].data.ptr == &datagram)
				answer_datagrams(datagram);
			else if (!answer_stream(connection)) {
				close(connection->fd);
				free(connection);
			}
		}
	}
}
