// SPDX-License-Identifier: GPL-2.0-only
/*
 * The connection to lbd. While there is none, nothing is checked: lbd says anew which targets there are.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"

#define RETRY_NS (200 * LB_NS_PER_MS)

static void connect_to_lbd(struct checkd *checkd);

static void lose(struct checkd *checkd, const char *why)
{
	if (checkd->link >= 0) {
		say("lost lbd: %s", why);
		close(checkd->link);
	}
	checkd->link = -1;
	checkd->queue_n = 0;
	targets_clear(checkd);
	echo_clear(checkd);
	heap_set(&checkd->heap, &checkd->link_timer, lb_now_ns() + RETRY_NS);
}

/* --- to lbd ----------------------------------------------------------------------------------------------
 */

static void watch_link(struct checkd *checkd, bool blocked)
{
	struct epoll_event event = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0),
				     .data.ptr = &checkd->link_watch };

	if (blocked != checkd->link_blocked)
		epoll_ctl(checkd->epoll, EPOLL_CTL_MOD, checkd->link, &event);
	checkd->link_blocked = blocked;
}

/* False: not now, or not at all. */
static bool send_message(struct checkd *checkd, const void *message, size_t size)
{
	if (send(checkd->link, message, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		watch_link(checkd, true);
	else
		lose(checkd, strerror(errno));
	return false;
}

void link_flush(struct checkd *checkd)
{
	static struct lb_message_results message;

	while (checkd->link >= 0 && checkd->queue_n > 0) {
		__u32 n = checkd->queue_n < LB_MESSAGE_RESULTS_MAX ? (__u32)checkd->queue_n
								   : LB_MESSAGE_RESULTS_MAX;

		message.head = (struct lb_message_head){ LB_MESSAGE_RESULTS, n };
		for (__u32 i = 0; i < n; i++)
			message.results[i] = checkd->queue[(checkd->queue_first + i) % QUEUE_MAX];
		if (!send_message(checkd, &message, sizeof(message.head) + n * sizeof(message.results[0])))
			return;
		checkd->queue_first = (checkd->queue_first + n) % QUEUE_MAX;
		checkd->queue_n -= n;
	}
}

void link_result(struct checkd *checkd, const struct lb_message_result *result)
{
	/* Checks do not begin with a queue that is half full: the rest is for those under way. */
	if (checkd->link < 0 || checkd->queue_n == QUEUE_MAX)
		return;
	checkd->queue[(checkd->queue_first + checkd->queue_n++) % QUEUE_MAX] = *result;
}

static void say_state(struct checkd *checkd, enum lb_message_type type)
{
	struct lb_message_state state = {
		.head = { (__u32)type, 1 },
		.version = LB_MESSAGE_VERSION,
		.targets = (__u32)checkd->n_targets,
		.pending = (__u32)checkd->pending,
		.late_ms = (__u32)(checkd->late_ns / LB_NS_PER_MS),
		.begun = checkd->begun,
		.may_mark = checkd->path.may_mark,
		.may_echo = echo_possible(checkd),
		.room = (__u32)checkd->pending_max,
		.ports = path_room(&checkd->path),
	};

	if (send_message(checkd, &state, sizeof(state)))
		checkd->late_ns = 0;
}

static void link_due(struct checkd *checkd, struct timer *timer, __u64 now)
{
	if (checkd->link < 0) {
		connect_to_lbd(checkd);
		return;
	}
	heap_set(&checkd->heap, timer, now + LB_ALIVE_MS * LB_NS_PER_MS);
	say_state(checkd, LB_MESSAGE_ALIVE);
}

/* --- from lbd --------------------------------------------------------------------------------------------
 */

/* The size that a message of a type has; 0: none is known. */
static size_t size_of(__u32 type)
{
	switch (type) {
	case LB_MESSAGE_HELLO:
		return sizeof(struct lb_message_state);
	case LB_MESSAGE_PATH:
		return sizeof(struct lb_message_head);
	case LB_MESSAGE_SET:
	case LB_MESSAGE_REMOVE:
	case LB_MESSAGE_HURRY:
		return sizeof(struct lb_message_target);
	case LB_MESSAGE_ECHO:
		return sizeof(struct lb_message_echo);
	default:
		return 0;
	}
}

static void take_echo(struct checkd *checkd, const struct lb_message_echo *message)
{
	const struct target *target = target_find(checkd, message->id, message->generation);

	/* One that is not known any more is not waited for either. */
	if (target)
		echo_begin(checkd, target, message);
}

/* fd: that came with it, ours; -1: none. */
static bool take(struct checkd *checkd, const struct lb_message_target *message, size_t size, int fd)
{
	const struct lb_message_state *state = (const struct lb_message_state *)message;

	if (size < sizeof(message->head) || size != size_of(message->head.type)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (message->head.type == LB_MESSAGE_PATH) {
		if (fd >= 0)
			path_take(checkd, fd);
		return fd >= 0;
	}
	if (fd >= 0)
		close(fd);
	if (message->head.type == LB_MESSAGE_HELLO)
		return state->version == LB_MESSAGE_VERSION;
	if (message->head.type == LB_MESSAGE_ECHO)
		take_echo(checkd, (const struct lb_message_echo *)message);
	else if (message->head.type == LB_MESSAGE_REMOVE)
		target_remove(checkd, message->id);
	else if (message->head.type == LB_MESSAGE_HURRY)
		target_hurry(checkd, message->id, message->generation);
	else if (target_set(checkd, message) < 0)
		return false;
	return true;
}

/* As recv(), with the descriptor that comes with the message: *ret_fd is ours, -1 if there is none. */
static ssize_t receive(int link, void *message, size_t size, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { message, size };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(link, &head, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *first = n > 0 ? CMSG_FIRSTHDR(&head) : NULL;

	*ret_fd = -1;
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
	    first->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(first), sizeof(int));
	return n;
}

/* At most so many messages at once: checks go on meanwhile. */
#define MESSAGES_MAX 256

static void link_ready(struct checkd *checkd, struct watch *watch, __u32 events)
{
	static union {
		struct lb_message_target target;
		struct lb_message_state state;
	} message;

	if (events & EPOLLOUT) {
		watch_link(checkd, false);
		link_flush(checkd);
	}
	for (int i = 0; checkd->link >= 0 && i < MESSAGES_MAX; i++) {
		int fd = -1;
		ssize_t n = receive(checkd->link, &message, sizeof(message), &fd);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			lose(checkd, n < 0 ? strerror(errno) : "it has closed the connection");
		else if (!take(checkd, &message.target, (size_t)n, fd))
			lose(checkd, "it is of another version");
	}
}

/* --- connecting ------------------------------------------------------------------------------------------
 */

static void connect_to_lbd(struct checkd *checkd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &checkd->link_watch };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", checkd->socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    epoll_ctl(checkd->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		if (fd >= 0)
			close(fd);
		heap_set(&checkd->heap, &checkd->link_timer, lb_now_ns() + RETRY_NS);
		return;
	}
	checkd->link = fd;
	checkd->link_blocked = false;
	heap_set(&checkd->heap, &checkd->link_timer, lb_now_ns() + LB_ALIVE_MS * LB_NS_PER_MS);
	say("connected to lbd");
	say_state(checkd, LB_MESSAGE_HELLO);
}

int link_start(struct checkd *checkd)
{
	checkd->link = -1;
	checkd->link_watch.ready = link_ready;
	checkd->link_timer = (struct timer){ .at = SIZE_MAX, .fire = link_due };
	checkd->queue = calloc(QUEUE_MAX, sizeof(*checkd->queue));
	if (!checkd->queue)
		return -ENOMEM;
	return heap_set(&checkd->heap, &checkd->link_timer, lb_now_ns());
}
