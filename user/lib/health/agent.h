/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an agent beside a backend says of it, in the words of HAProxy's agent-check: one line of ASCII, its
 * words separated by blanks, tabs or commas, in any case; behind '#' is text for people.
 *
 *   up, ready              it serves
 *   drain, maint           no new flows; those there are go on
 *   down, failed, stopped  it does not serve
 *   75%                    so much of its weight; above 100 is taken for 100
 *   maxconn:30             is not used
 *
 * Unlike there, every line says all: without a percentage it is all of the weight, without drain none.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct lb_agent_says {
	bool down, drain;
	__u32 percent; /* of its weight, 0..100 */
};

/* False: the line has a word that is none of these, or none at all. */
bool lb_agent_parse(const char *line, size_t length, struct lb_agent_says *ret_says);

/* What the detail of a result holds (message.h): never 0. */
static inline __u32 lb_agent_detail(const struct lb_agent_says *says)
{
	return 1u << 16 | (__u32)says->drain << 8 | says->percent;
}

static inline void lb_agent_of_detail(__u32 detail, struct lb_agent_says *ret_says)
{
	*ret_says = (struct lb_agent_says){ .drain = detail >> 8 & 1, .percent = detail & 0xff };
}
