// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backend of bench-peers: answers every request of REQUEST_BYTES with ANSWER_BYTES. On the first port it
 * closes then, so that the side with the well-known port has the TIME_WAIT; on the second it waits for more.
 * Several may serve the same ports, where one process may not have all connections open.
 *
 *	peers_server PORT-THAT-CLOSES PORT-THAT-WAITS
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
#include <unistd.h>

#include "peers.h"

/* What epoll tells of a socket: the descriptor and what it is. */
enum { LISTENER = 1, CLOSES = 2 };

static void watch(int epoll, int fd, unsigned int what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (__u64)what << 32 | (unsigned int)fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		close(fd);
}

static void serve(int epoll, const char *port, unsigned int what)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((__u16)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "peers_server: port %s: %s\n", port, strerror(errno));
		exit(1);
	}
	watch(epoll, fd, what | LISTENER);
}

static void accept_all(int epoll, int listener, unsigned int what)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(epoll, fd, what & ~LISTENER);
	}
}

/* Requests are small and come whole. */
static void answer(int fd, bool closes)
{
	static const char text[ANSWER_BYTES] = "answer";
	char request[REQUEST_BYTES];
	ssize_t n = recv(fd, request, sizeof(request), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != REQUEST_BYTES || send(fd, text, sizeof(text), MSG_NOSIGNAL) != sizeof(text) || closes)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 3 || epoll < 0)
		return 2;
	serve(epoll, argv[1], CLOSES);
	serve(epoll, argv[2], 0);
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			unsigned int what = (unsigned int)(events[i].data.u64 >> 32);
			int fd = (int)(events[i].data.u64 & 0xffffffff);

			if (what & LISTENER)
				accept_all(epoll, fd, what);
			else
				answer(fd, what & CLOSES);
		}
	}
}
