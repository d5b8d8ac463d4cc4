/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects out of a stream of bytes, one at a time, so that a list of any length, and a watch that never ends,
 * cost the memory of their largest object. What comes out has balanced brackets and is not checked further.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The API server keeps objects below 1.5 MiB or so; escapes may make them longer on their way. */
#define LB_KUBE_OBJECT_BYTES_MAX (8u << 20)
#define LB_KUBE_REST_BYTES_MAX   (64u << 10)

struct lb_kube_text {
	char *text; /* owned; terminated */
	size_t length, room;
};

struct lb_kube_split {
	bool list; /* elements of "items" of one object; else objects, one after the other */
	/* Takes an object; text is terminated and may be changed until it returns. Negative: stop, which
	 * feed() returns. */
	int (*object)(void *context, char *text, size_t length);
	void *context;

	/* The rest is ours. */
	struct lb_kube_text current, rest;
	unsigned int depth, emit_depth;
	bool in_string, escaped, in_items, key_is_items, after_colon;
	size_t word; /* letters of a key read so far; beyond "items": none that counts */
	char key[8];
};

/* 0; -EBADMSG: this is no such stream; -EMSGSIZE: an object is too large; -ENOMEM; what object() said. */
int lb_kube_split_feed(struct lb_kube_split *split, const char *bytes, size_t n);

/* Whether it ended where an object ends, and one came: for a list, the whole of it. */
bool lb_kube_split_whole(const struct lb_kube_split *split);

/* A list without its items, as text. */
const char *lb_kube_split_rest(const struct lb_kube_split *split);

void lb_kube_split_reset(struct lb_kube_split *split); /* to begin anew */
void lb_kube_split_done(struct lb_kube_split *split);
