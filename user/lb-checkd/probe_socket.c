// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP and UDP checks, and those of agents. A TCP check ends in a reset: no port of ours stays in TIME-WAIT,
 * and the server is not left with a half-closed connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/agent.h"
#include "lb-checkd/checkd.h"

#define ANSWER_MAX 4096u /* bytes that are looked at */

static socklen_t address_of(const struct lb_config_check *check, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (check->address.family == LB_FAMILY_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((__u16)check->port);
		memcpy(&v4->sin_addr, check->address.bytes, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((__u16)check->port);
	memcpy(&v6->sin6_addr, check->address.bytes, 16);
	return sizeof(*v6);
}

/* --- what is read ----------------------------------------------------------------------------------------
 */

/* The line of an agent, once it is there; over: there will be no more of it. */
static void read_agent(struct checkd *checkd, struct probe *probe, bool over)
{
	struct lb_agent_says says;

	if (!over && !memchr(probe->answer, '\n', probe->n_answer) && probe->n_answer < ANSWER_MAX)
		return;
	if (!probe->n_answer)
		probe_end(checkd, probe, LB_OUTCOME_RESET, 0);
	else if (!lb_agent_parse(probe->answer, probe->n_answer, &says))
		probe_end(checkd, probe, LB_OUTCOME_PROTOCOL, 0);
	else if (says.down)
		probe_end(checkd, probe, LB_OUTCOME_STATUS, 0);
	else
		probe_end(checkd, probe, LB_OUTCOME_OK, lb_agent_detail(&says));
}

static void read_answer(struct checkd *checkd, struct probe *probe)
{
	const char *expect = probe->target->config.expect;
	ssize_t n;

	if (!probe->answer)
		probe->answer = malloc(ANSWER_MAX);
	if (!probe->answer) {
		probe_end(checkd, probe, LB_OUTCOME_NONE, ENOMEM);
		return;
	}
	n = recv(probe->fd, probe->answer + probe->n_answer, ANSWER_MAX - probe->n_answer, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		probe_end(checkd, probe, lb_outcome_of_errno(errno), (__u32)errno);
		return;
	}
	probe->n_answer += (size_t)n;
	if (probe->target->config.kind == LB_CHECK_AGENT) {
		read_agent(checkd, probe, n == 0);
		return;
	}
	if (memmem(probe->answer, probe->n_answer, expect, strlen(expect)))
		probe_end(checkd, probe, LB_OUTCOME_OK, 0);
	else if (n == 0)
		probe_end(checkd, probe, probe->n_answer ? LB_OUTCOME_PROTOCOL : LB_OUTCOME_RESET, 0);
	else if (probe->n_answer == ANSWER_MAX || probe->target->config.kind == LB_CHECK_UDP)
		probe_end(checkd, probe, LB_OUTCOME_PROTOCOL, 0);
}

/* The connection is there. */
static void connected(struct checkd *checkd, struct probe *probe)
{
	const struct lb_config_check *check = &probe->target->config;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &probe->watch };
	size_t length = strlen(check->send);

	bool wants = check->expect[0] || check->kind == LB_CHECK_AGENT;

	if (!length && !wants) {
		probe_end(checkd, probe, LB_OUTCOME_OK, 0);
		return;
	}
	/* It fits into any socket's buffer. */
	if (length && send(probe->fd, check->send, length, MSG_NOSIGNAL) < 0) {
		probe_end(checkd, probe, lb_outcome_of_errno(errno), (__u32)errno);
		return;
	}
	if (!check->expect[0] && check->kind == LB_CHECK_TCP) {
		probe_end(checkd, probe, LB_OUTCOME_OK, 0);
		return;
	}
	probe->asked = true;
	if (epoll_ctl(checkd->epoll, EPOLL_CTL_MOD, probe->fd, &event) < 0)
		probe_end(checkd, probe, LB_OUTCOME_NONE, (__u32)errno);
}

static void ready(struct checkd *checkd, struct watch *watch, __u32 events)
{
	struct probe *probe = (struct probe *)((char *)watch - offsetof(struct probe, watch));
	int error = 0;
	socklen_t length = sizeof(error);

	if (events & (EPOLLERR | EPOLLHUP)) {
		getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error) {
			probe_end(checkd, probe, lb_outcome_of_errno(error), (__u32)error);
			return;
		}
	}
	if (probe->asked)
		read_answer(checkd, probe);
	else
		connected(checkd, probe);
}

/* --- begin -----------------------------------------------------------------------------------------------
 */

void probe_socket_begin(struct checkd *checkd, struct probe *probe)
{
	static const struct linger reset = { .l_onoff = 1 };
	const struct lb_config_check *check = &probe->target->config;
	struct sockaddr_storage address;
	socklen_t length = address_of(check, &address);
	int type = check->kind == LB_CHECK_UDP ? SOCK_DGRAM : SOCK_STREAM;
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = &probe->watch };

	probe->watch.ready = ready;
	probe->fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0) {
		probe_end(checkd, probe, LB_OUTCOME_NONE, (__u32)errno);
		return;
	}
	if (type == SOCK_STREAM)
		setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (probe->target->mark) {
		int r = path_dress(checkd, probe, probe->fd, address.ss_family,
				   type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);

		if (r < 0) {
			probe_end(checkd, probe, LB_OUTCOME_NONE, (__u32)-r);
			return;
		}
	}
	if (connect(probe->fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS) {
		probe_end(checkd, probe, lb_outcome_of_errno(errno), (__u32)errno);
		return;
	}
	if (epoll_ctl(checkd->epoll, EPOLL_CTL_ADD, probe->fd, &event) < 0)
		probe_end(checkd, probe, LB_OUTCOME_NONE, (__u32)errno);
}
