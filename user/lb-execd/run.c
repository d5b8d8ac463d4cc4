// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running commands. Each leads a session and a process group of its own, which is killed as a whole when it
 * ends, for whatever reason. What has left that session comes to us when its parent ends (we are a
 * subreaper), is met among our children as one that no running command answers for, and is killed as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "lb-execd/execd.h"

#define NS_PER_MS      1000000ull
#define OUTPUT_AT_ONCE 4096

static struct run *free_place(struct execd *execd)
{
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		if (!execd->runs[i].pid)
			return &execd->runs[i];
	return NULL;
}

static struct run *run_of(struct execd *execd, pid_t pid)
{
	for (size_t i = 0; pid && i < LB_EXEC_AT_ONCE; i++)
		if (execd->runs[i].pid == pid)
			return &execd->runs[i];
	return NULL;
}

/* --- beginning -------------------------------------------------------------------------------------------
 */

/* A new session, nothing blocked or ignored, nothing open but /dev/null and its output. */
static int spawn(const struct lb_exec_request *request, int output, pid_t *ret_pid)
{
	char address[LB_ADDRESS_TEXT_MAX], port[16], *command = (char *)request->command;
	char *const arguments[] = { command, address, port, NULL };
	static char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL
	};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	lb_address_text(&request->address, address);
	snprintf(port, sizeof(port), "%u", request->port);
	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	r = -posix_spawn(ret_pid, command, &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int start(struct run *run, const struct lb_exec_request *request)
{
	_cleanup_(closep) int ours = -1, theirs = -1;
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	ours = ends[0];
	theirs = ends[1];
	/* We do not wait to read; the command waits to write. */
	if (fcntl(theirs, F_SETFL, 0) < 0)
		return -errno;
	r = spawn(request, theirs, &pid);
	if (r < 0)
		return r;
	*run = (struct run){ .pid = pid, .output = ours };
	ours = -1;
	return 0;
}

void run_start(struct execd *execd, size_t client, const struct lb_exec_request *request)
{
	struct run *run = free_place(execd);
	const char *why = "";
	int r = list_allows(execd->list, request->command, &why);

	if (r == 0 && !run)
		r = -EAGAIN;
	if (r == 0) {
		r = start(run, request);
		why = "it cannot be started";
	}
	if (r < 0) {
		if (r != -EAGAIN)
			say("command=%s refused=\"%s\" error=\"%s\"", request->command, why, strerror(-r));
		answer(execd, client, request->number, LB_OUTCOME_NONE, (__u32)-r);
		return;
	}
	run->client = client;
	run->number = request->number;
	run->deadline_ns = lb_now_ns() + request->timeout_ms * NS_PER_MS;
}

/* --- ending ----------------------------------------------------------------------------------------------
 */

/* Its whole group, whose number is its own while it has not been waited for. */
static void kill_run(struct execd *execd, struct run *run, enum lb_outcome outcome)
{
	kill(-run->pid, SIGKILL);
	if (!run->answered && outcome != LB_OUTCOME_NONE)
		answer(execd, run->client, run->number, outcome, 0);
	run->answered = true;
}

void run_read(struct execd *execd, struct run *run)
{
	char bytes[OUTPUT_AT_ONCE];
	ssize_t n = read(run->output, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		run->bytes += (size_t)n;
		if (run->bytes > LB_EXEC_OUTPUT_MAX && !run->answered)
			kill_run(execd, run, LB_OUTCOME_PROTOCOL);
		return;
	}
	close(run->output);
	run->output = -1;
}

static void end(struct execd *execd, struct run *run, const siginfo_t *info)
{
	__u32 status = (__u32)info->si_status + (info->si_code == CLD_EXITED ? 0 : 128);

	if (!run->answered)
		answer(execd, run->client, run->number, status ? LB_OUTCOME_STATUS : LB_OUTCOME_OK, status);
	if (run->output >= 0)
		close(run->output);
	*run = (struct run){ .output = -1 };
}

/* Children of ours that belong to no session of a command that runs. */
static void kill_strays(struct execd *execd)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		if (!run_of(execd, pid) && !run_of(execd, getsid(pid)))
			kill(pid, SIGKILL);
}

void runs_reap(struct execd *execd)
{
	siginfo_t info = {};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
		struct run *run = run_of(execd, info.si_pid);

		/* Before its number may be another's. */
		if (run)
			kill(-run->pid, SIGKILL);
		if (waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG) < 0)
			return;
		if (run)
			end(execd, run, &info);
		info = (siginfo_t){};
	}
	kill_strays(execd);
}

void runs_expire(struct execd *execd, __u64 now)
{
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		if (execd->runs[i].pid && !execd->runs[i].answered && execd->runs[i].deadline_ns <= now)
			kill_run(execd, &execd->runs[i], LB_OUTCOME_TIMEOUT);
}

void runs_forget(struct execd *execd, size_t client)
{
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		if (execd->runs[i].pid && execd->runs[i].client == client)
			kill_run(execd, &execd->runs[i], LB_OUTCOME_NONE);
}

int runs_wait_ms(const struct execd *execd)
{
	__u64 first = UINT64_MAX, now = lb_now_ns();

	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++) {
		const struct run *run = &execd->runs[i];

		if (run->pid && !run->answered && run->deadline_ns < first)
			first = run->deadline_ns;
	}
	if (first == UINT64_MAX)
		return -1;
	return first <= now ? 0 : (int)((first - now + NS_PER_MS - 1) / NS_PER_MS);
}
