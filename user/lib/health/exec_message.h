/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb-checkd and lb-execd say to each other over a UNIX socket that keeps message boundaries: one request
 * to run a command, one answer. Both are of one build, and run on one machine.
 */
#pragma once

#include <linux/types.h>

#include "config/config_health.h"
#include "health/outcome.h"

#define LB_EXEC_AT_ONCE    32u    /* commands that run at a time; more are a shortage of ours */
#define LB_EXEC_OUTPUT_MAX 65536u /* bytes that a command may write; a longer one is killed */

struct lb_exec_request {
	__u64 number; /* comes back */
	__u32 timeout_ms;
	__u32 port;
	struct lb_address
		address; /* what is asked about: the command's first argument, the port is the second */
	__u8 pad0[7];
	char command[LB_CHECK_TEXT_MAX];
};

_Static_assert(sizeof(struct lb_exec_request) == 16 + 24 + LB_CHECK_TEXT_MAX, "no hidden padding");

struct lb_exec_answer {
	__u64 number;
	__u32 outcome; /* enum lb_outcome */
	__u32 detail;  /* of STATUS: the exit status, or 128 + the signal; of NONE: errno */
};
