/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-backend watch: up, and again whenever an address or a link of the host changes, and every few seconds
 * for what the kernel tells nobody (sysctls). What others undo is put back and told: a VIP that is missing
 * here makes every connection to this backend fail, and nobody else on the host would notice. It ends at
 * SIGTERM or SIGINT and leaves everything in place: packets go on; `down` undoes.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "lb-backend.h"

#define LOOK_MS   5000 /* between looks when nothing is heard of */
#define SETTLE_MS 50   /* changes come in bursts */

/* What ends the wait: netlink's news of links and addresses. A negative errno, or a descriptor. */
static int news_open(void)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK,
				     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

/* What was heard is not read in detail: everything is looked at anew. An overrun is news as well. */
static void news_forget(int fd)
{
	char buffer[8192];

	while (recv(fd, buffer, sizeof(buffer), 0) > 0 || errno == ENOBUFS)
		errno = 0;
}

static int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Does what is missing; tells an error once, and that it is over. */
static void look(const struct options *options, struct lb_error *told)
{
	struct lb_error error = {};

	backend_up(options, &error);
	if (error.text[0] && strcmp(told->text, error.text) != 0)
		fail(&error);
	if (!error.text[0] && told->text[0])
		say("%s: all is well again", options->device);
	*told = error;
	sd_notifyf(0, "STATUS=%s%s", error.text[0] ? "not as it should be: " : "taking packets", error.text);
}

/* Waits for news, or for the time to look anyway. False when it is time to end. */
static bool await(int news, int signals)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN }, { .fd = news, .events = POLLIN } };

	if (poll(fds, 2, LOOK_MS) > 0 && !(fds[0].revents)) {
		/* The rest of the burst, unless it is time to end. */
		poll(fds, 1, SETTLE_MS);
		news_forget(news);
	}
	return !fds[0].revents;
}

int verb_watch(const struct options *given)
{
	struct options options = *given;
	_cleanup_(closep) int news = news_open(), signals = signals_open();
	struct lb_error error = {}, told = {};

	if (news < 0 || signals < 0) {
		lb_error_set(&error, EIO, "cannot watch the host's links and addresses: %s",
			     strerror(news < 0 ? -news : -signals));
		return fail(&error);
	}
	/* The first time tells all, and fails where it cannot be done: whoever started this will hear of it.
	 */
	if (backend_up(&options, &error) < 0)
		return fail(&error);
	options.watching = true;
	sd_notify(0, "READY=1\nSTATUS=taking packets");
	while (await(news, signals))
		look(&options, &told);
	say("%s: no longer watched; everything stays in place", options.device);
	return 0;
}
