// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks by commands, which lb-execd runs: lb-checkd itself may not. lb-execd says also when a command took
 * too long; that it says nothing, or is not there, says nothing about the target.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"

#define GRACE_NS (1000 * LB_NS_PER_MS) /* for lb-execd's word on a timeout */

static void lose(struct checkd *checkd)
{
	struct exec *exec = &checkd->exec;

	if (exec->fd >= 0)
		close(exec->fd);
	exec->fd = -1;
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		if (exec->waiting[i].probe)
			probe_end(checkd, exec->waiting[i].probe, LB_OUTCOME_NONE, ECONNRESET);
}

static void take(struct checkd *checkd, const struct lb_exec_answer *answer)
{
	const struct exec_waiting *waiting = &checkd->exec.waiting[answer->number % LB_EXEC_AT_ONCE];

	/* Of one that is no longer waited for, perhaps. */
	if (waiting->probe && waiting->number == answer->number && answer->outcome < LB_OUTCOME_COUNT)
		probe_end(checkd, waiting->probe, (enum lb_outcome)answer->outcome, answer->detail);
}

static void ready(struct checkd *checkd, struct watch *watch, __u32 events)
{
	for (size_t i = 0; checkd->exec.fd >= 0 && i < LB_EXEC_AT_ONCE; i++) {
		struct lb_exec_answer answer;
		ssize_t n = recv(checkd->exec.fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == sizeof(answer))
			take(checkd, &answer);
		else
			lose(checkd);
	}
}

static int connect_to_execd(struct checkd *checkd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &checkd->exec.watch };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", checkd->exec.path);
	checkd->exec.watch.ready = ready;
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    epoll_ctl(checkd->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
		checkd->exec.fd = fd;
		return 0;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	return -error;
}

/* A place for one more that runs, or -EAGAIN. */
static int take_place(struct checkd *checkd, struct probe *probe)
{
	struct exec *exec = &checkd->exec;

	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++) {
		if (exec->waiting[i].probe)
			continue;
		exec->waiting[i].probe = probe;
		exec->waiting[i].number += LB_EXEC_AT_ONCE;
		exec->waiting[i].number -= exec->waiting[i].number % LB_EXEC_AT_ONCE;
		exec->waiting[i].number += i;
		probe->exec_place = (__u32)i + 1;
		return 0;
	}
	return -EAGAIN;
}

static int ask(struct checkd *checkd, struct probe *probe)
{
	const struct lb_config_check *check = &probe->target->config;
	struct lb_exec_request request = { .timeout_ms = probe->target->timing.timeout_ms,
					   .port = check->port,
					   .address = check->address };
	int r = checkd->exec.fd >= 0 ? 0 : connect_to_execd(checkd);

	if (r == 0)
		r = take_place(checkd, probe);
	if (r < 0)
		return r;
	request.number = checkd->exec.waiting[probe->exec_place - 1].number;
	snprintf(request.command, sizeof(request.command), "%s", check->command);
	return send(checkd->exec.fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void probe_exec_begin(struct checkd *checkd, struct probe *probe)
{
	int r = heap_set(&checkd->heap, &probe->timer, probe->timer.due_ns + GRACE_NS);

	if (r == 0)
		r = ask(checkd, probe);
	if (r < 0)
		probe_end(checkd, probe, LB_OUTCOME_NONE, (__u32)-r);
}

void probe_exec_abandon(struct checkd *checkd, struct probe *probe)
{
	if (probe->exec_place)
		checkd->exec.waiting[probe->exec_place - 1].probe = NULL;
	probe->exec_place = 0;
}

void probe_exec_start(struct checkd *checkd)
{
	checkd->exec.fd = -1;
}
