/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-execd: runs the commands of exec checks for lb-checkd, which may not run anything. Only what root's list
 * names, each in a session of its own that is killed as a whole; bounded in time, output and number. One
 * thread, one poll loop.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"
#include "health/exec_message.h"

#define CLIENTS_MAX 4u

/* A command that runs. */
struct run {
	pid_t pid;  /* leader of its session; 0: this place is free */
	int output; /* what it writes; -1: it has closed it */
	size_t bytes;
	__u64 deadline_ns;
	size_t client; /* place of who asked */
	__u64 number;  /* of the request */
	bool answered; /* killed: it is only waited for */
};

struct execd {
	int listener, signals;
	int clients[CLIENTS_MAX]; /* -1: none */
	const char *asker; /* who may ask, beside root and ourselves: a user that may be there only while it
			      runs */
	struct run runs[LB_EXEC_AT_ONCE];
	const char *list; /* file */
};

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void answer(struct execd *execd, size_t client, __u64 number, enum lb_outcome outcome, __u32 detail);

/* --- run.c ---------------------------------------------------------------------------------------------- */

void run_start(struct execd *execd, size_t client, const struct lb_exec_request *request);
void run_read(struct execd *execd, struct run *run); /* there is output */
void runs_reap(struct execd *execd);                 /* some child has ended */
void runs_expire(struct execd *execd, __u64 now);
void runs_forget(struct execd *execd, size_t client); /* who asked has gone */
int runs_wait_ms(const struct execd *execd);          /* until the next deadline; -1: there is none */

/* --- list.c --------------------------------------------------------------------------------------------- */

/* Whether root's list names the command, and nobody but root can write either. 0 or -errno; *ret_why: static.
 */
int list_allows(const char *list, const char *command, const char **ret_why);
