/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long answers, made once for all who ask for the same at the same time, in slices between which the loop
 * does other things, and sent as fast as each client reads. All of them together have a bounded size: when it
 * is reached, the clients of the oldest one are cut off.
 */
#pragma once

#include "lbd/api/http.h"
#include "lbd/lbd.h"

struct rendering_kind {
	size_t (*pieces)(const struct lbd *lbd);
	/* Writes one piece; they come in order, and all of one generation. */
	void (*piece)(struct lbd *lbd, size_t at, struct json *out);
};

/* A stream of such an answer: one that is being made, or is younger than a second, or a new one. 0 or
 * -ENOMEM.
 */
int rendering_join(struct lbd *lbd, const struct rendering_kind *kind, struct http_stream **ret_stream,
		   struct lb_error *error);
