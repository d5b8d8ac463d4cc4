/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How large a packet gets through to an address, found by trying (as RFC 8899 does for transports): the
 * owner sends what is asked for and says whether it was answered. Silence alone says nothing, since hosts
 * may not answer at all: a size counts as too large only where others, before and after it, are answered.
 * Keeps no clock; times are the caller's monotonic milliseconds.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#define LB_PATH_SEARCH_TIMEOUT_MS 400u    /* for one answer */
#define LB_PATH_SEARCH_AGAIN_MS   60000u  /* until what was found is looked at again */
#define LB_PATH_SEARCH_WIDER_MS   600000u /* until more than was found is tried (RFC 8899 section 5.1.1) */

enum lb_path_search_state {
	LB_PATH_SEARCH_REST,    /* until due_ms */
	LB_PATH_SEARCH_PROVE,   /* is anything answered at all? */
	LB_PATH_SEARCH_MOST,    /* does all fit that the way may take? */
	LB_PATH_SEARCH_HALVE,   /* between least and too_much */
	LB_PATH_SEARCH_CONFIRM, /* is too_much still not answered? */
	LB_PATH_SEARCH_VERIFY,  /* and least still is? */
	LB_PATH_SEARCH_KEEP,    /* does what was found still fit? */
};

/* All sizes are of IP packets, a tunnel's header counted. Zero is a search that has not begun. */
struct lb_path_search {
	enum lb_path_search_state state;
	__u16 floor, most; /* what is to be searched in */
	__u16 least, too_much;
	__u16 found; /* 0: nothing is known */
	__u8 tries;  /* of the size in question, unanswered */
	__u8 silent; /* searches in a row in which nothing was answered */
	__u64 due_ms;
	__u64 wider_ms; /* more than was found is tried then */
};

/*
 * The size to be asked now, for a path that takes packets of floor bytes anyhow and cannot take more than
 * most; 0: none. It is asked again and again until it is answered.
 */
__u16 lb_path_search_ask(struct lb_path_search *search, __u16 floor, __u16 most, __u64 now_ms);

/* Whether the size that was asked last was answered. True: found is news, or was found once more. */
bool lb_path_search_heard(struct lb_path_search *search, bool answered, __u64 now_ms);

/* Others say that the path has changed: the search begins now. */
void lb_path_search_again(struct lb_path_search *search);
