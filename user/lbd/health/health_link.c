// SPDX-License-Identifier: GPL-2.0-only
/*
 * The connection to lb-checkd. lbd listens; whoever connects must be root, lbd's own user, or the user that
 * lb-checkd has, and of this build. A new connection takes the place of an old one. What lb-checkd says is
 * taken for what a stranger says: checked, and bounded in number.
 */
#include <fcntl.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lbd/health/health_internal.h"
#include "lbd/kernel/check_path.h"

#define USER         "weir-check"
#define MESSAGES_MAX 64 /* in one turn of the loop */

/* --- to lb-checkd ----------------------------------------------------------------------------------------
 */

void link_queue(struct health *health, struct health_target *target)
{
	if (target->unsent)
		return;
	target->unsent = true;
	target->next_unsent = NULL;
	if (!health->first_unsent)
		health->last_unsent = &health->first_unsent;
	*health->last_unsent = target;
	health->last_unsent = &target->next_unsent;
}

static bool send_target_as(struct health *health, const struct health_target *target,
			   enum lb_message_type type)
{
	static struct lb_message_target message;

	message.head = (struct lb_message_head){ type, 1 };
	message.id = target->id;
	message.generation = target->generation;
	message.check = target->check;
	message.mark = 0;
	message.source = (struct lb_address){};
	if (target->check.target == LB_CHECK_TARGET_VIP && target->direct) {
		message.check.address = target->check.via;
	} else if (target->check.target == LB_CHECK_TARGET_VIP) {
		message.mark = health->lbd->running.config->checker.mark.value;
		message.source = target->source;
	}
	return send(health->link, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static bool send_target(struct health *health, const struct health_target *target)
{
	bool remove = target->removing || target->held;

	return send_target_as(health, target, remove ? LB_MESSAGE_REMOVE : LB_MESSAGE_SET);
}

/* Said again as long as it is suspected: one that finds no room is no loss. */
void link_hurry(struct health *health, const struct health_target *target)
{
	if (health->link >= 0 && !health->blocked && !target->unsent && !target->held)
		(void)send_target_as(health, target, LB_MESSAGE_HURRY);
}

bool link_echo(struct health *health, const struct health_target *target, __u32 bytes, __u32 timeout_ms)
{
	const struct lb_message_echo message = { .head = { LB_MESSAGE_ECHO, 1 },
						 .id = target->id,
						 .generation = target->generation,
						 .bytes = bytes,
						 .timeout_ms = timeout_ms };

	return send(health->link, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* The descriptor of lb_check_ports. */
static bool send_path(const struct health *health)
{
	static struct lb_message_head head = { LB_MESSAGE_PATH, 0 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec part = { &head, sizeof(head) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int fd = check_path_ports(health->path);

	control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
					 .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(health->link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* False: it takes no more for now. */
static bool flush_path(struct health *health)
{
	if (health->path_unsent && health->link >= 0 && health->path && !send_path(health))
		return false;
	health->path_unsent = false;
	return true;
}

static void block(struct health *health)
{
	health->blocked = true;
	sd_event_source_set_io_events(health->on_link, EPOLLIN | EPOLLOUT);
}

void link_path(struct health *health)
{
	health->path_unsent = true;
	link_flush(health);
}

/* Without a link there is nobody to tell: removed targets are gone, the others are told at the next hello. */
void link_flush(struct health *health)
{
	/* How targets are asked is not yet settled, and the loop turns. */
	if (health->building)
		return;
	if (!flush_path(health)) {
		block(health);
		return;
	}
	while (health->first_unsent) {
		struct health_target *target = health->first_unsent;

		if (health->link >= 0 && !send_target(health, target)) {
			block(health);
			return;
		}
		health->first_unsent = target->next_unsent;
		target->unsent = false;
		if (target->removing)
			target_forget(health, target);
	}
	if (health->blocked)
		sd_event_source_set_io_events(health->on_link, EPOLLIN);
	health->blocked = false;
}

static void lose(struct health *health, const char *why)
{
	health->on_link = sd_event_source_disable_unref(health->on_link);
	close(health->link);
	health->link = -1;
	health->blocked = false;
	link_flush(health);
	events_add(&health->lbd->events, LOG_LEVEL_WARNING, "health",
		   "lb-checkd=lost cause=\"%s\"; verdicts stay as they are", why);
	judge_stale(health, true);
}

/* --- from lb-checkd --------------------------------------------------------------------------------------
 */

static struct health_target *find_target(const struct health *health, const struct lb_message_result *result,
					 struct health_target **by_id)
{
	struct health_target *target = result->id < health->next_id ? by_id[result->id] : NULL;

	return target && !target->removing && target->generation == result->generation ? target : NULL;
}

/* Nothing of the future, nothing that ends before it begins, no outcome that is none. */
static bool is_sane(const struct lb_message_result *result, __u64 now_ns)
{
	return result->outcome < LB_OUTCOME_COUNT && result->begin_ns <= result->end_ns &&
	       result->end_ns <= now_ns;
}

static bool take_results(struct health *health, const struct lb_message_results *message, size_t size)
{
	__u64 now = lb_now_ns();

	if (message->head.n > LB_MESSAGE_RESULTS_MAX ||
	    size != sizeof(message->head) + message->head.n * sizeof(message->results[0]))
		return false;
	for (__u32 i = 0; i < message->head.n; i++) {
		const struct lb_message_result *result = &message->results[i];
		struct health_target *target = find_target(health, result, health->by_id);

		if (!is_sane(result, now))
			return false;
		if (target && result->bytes)
			mtu_result(health, target, result);
		else if (target)
			judge_result(health, target, result);
	}
	return true;
}

static bool take_state(struct health *health, const struct lb_message_state *message, size_t size)
{
	bool other_room;

	if (size != sizeof(*message) || message->version != LB_MESSAGE_VERSION)
		return false;
	other_room = message->room != health->checkd.room || message->ports != health->checkd.ports;
	health->checkd = *message;
	if (other_room)
		room_judge(health);
	if (health->may_not_mark != !message->may_mark) {
		health->may_not_mark = !message->may_mark;
		/* In the loop: what the kernel needs is put up by tasks, and whoever builds settles at its
		 * end. */
		if (!health->building)
			path_settle(health);
		link_flush(health);
	}
	return true;
}

static bool take(struct health *health, const void *message, size_t size)
{
	const struct lb_message_head *head = message;

	if (size < sizeof(*head))
		return false;
	health->heard_ns = lb_now_ns();
	if (head->type == LB_MESSAGE_RESULTS)
		return take_results(health, message, size);
	if (head->type != LB_MESSAGE_HELLO && head->type != LB_MESSAGE_ALIVE)
		return false;
	judge_stale(health, false);
	return take_state(health, message, size);
}

static int on_link(sd_event_source *source, int fd, __u32 events, void *context)
{
	static struct lb_message_results message;
	struct health *health = context;

	if (events & EPOLLOUT)
		link_flush(health);
	for (int i = 0; health->link >= 0 && i < MESSAGES_MAX; i++) {
		ssize_t n = recv(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			lose(health, n < 0 ? strerror(errno) : "it has closed the connection");
		else if ((size_t)n > sizeof(message) || !take(health, &message, (size_t)n))
			lose(health, "it does not speak as it should: another version?");
	}
	judge_dirty(health);
	return 0;
}

/* --- connections -----------------------------------------------------------------------------------------
 */

static bool may_connect(int fd)
{
	struct ucred peer = {};
	socklen_t size = sizeof(peer);
	const struct passwd *user;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	user = getpwnam(USER);
	return user && peer.uid == user->pw_uid;
}

static void tell_all(struct health *health)
{
	struct health_target *target, *next;

	health->path_unsent = health->path;
	HASH_ITER (hh, health->targets, target, next)
		link_queue(health, target);
	link_flush(health);
}

static int on_listener(sd_event_source *source, int listener, __u32 events, void *context)
{
	static const struct lb_message_state hello = { .head = { LB_MESSAGE_HELLO, 1 },
						       .version = LB_MESSAGE_VERSION };
	struct health *health = context;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return 0;
	if (!may_connect(fd)) {
		close(fd);
		return 0;
	}
	if (health->link >= 0)
		lose(health, "another one has come");
	if (sd_event_add_io(health->lbd->event, &health->on_link, fd, EPOLLIN, on_link, health) < 0) {
		close(fd);
		return 0;
	}
	health->link = fd;
	health->heard_ns = lb_now_ns();
	events_add(&health->lbd->events, LOG_LEVEL_INFO, "health", "lb-checkd=connected");
	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		lose(health, strerror(errno));
	else
		tell_all(health);
	return 0;
}

static int open_listener(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0)
		return -errno;
	unlink(path);
	/* Who may speak is asked of the kernel, at each connection. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, 4) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

void link_listen(struct health *health)
{
	const char *path = health->lbd->running.config->checker.socket;
	int r;

	if (health->listener >= 0 || !health->targets)
		return;
	r = open_listener(path);
	if (r >= 0) {
		health->listener = r;
		snprintf(health->socket_path, sizeof(health->socket_path), "%s", path);
		r = sd_event_add_io(health->lbd->event, &health->on_listener, health->listener, EPOLLIN,
				    on_listener, health);
	}
	if (r < 0)
		events_add(&health->lbd->events, LOG_LEVEL_ERROR, "health",
			   "Failed to listen at %s for lb-checkd: %s", path, strerror(-r));
}

void link_watch(struct health *health, __u64 now_ns)
{
	if (health->link >= 0 && now_ns > health->heard_ns + LB_ALIVE_LOST_MS * LB_NS_PER_MS)
		lose(health, "it says nothing: it hangs");
}

void link_close(struct health *health)
{
	health->on_link = sd_event_source_disable_unref(health->on_link);
	health->on_listener = sd_event_source_disable_unref(health->on_listener);
	if (health->link >= 0)
		close(health->link);
	if (health->listener >= 0)
		close(health->listener);
	if (health->socket_path[0])
		unlink(health->socket_path);
}
