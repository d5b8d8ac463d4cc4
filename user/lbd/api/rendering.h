/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long answers, made once for all who ask for the same at the same time, in slices between which the loop
 * does other things, and sent as fast as each client reads. All of them together have a bounded size: when it
 * is reached, the clients of the oldest one are cut off.
 */
#pragma once

#include "lbd/api/http.h"
#include "lbd/lbd.h"

struct rendering_wish;

/* A step of the making. */
struct rendering_step {
	struct lbd *lbd;
	const struct rendering_wish *wish;
	size_t piece, from;
	struct json *parts; /* sent one after the other */
	void *state;        /* of the rendering; zeroed when it begins, and when it begins again */
};

struct rendering_kind {
	size_t (*pieces)(const struct lbd *lbd);
	/* Writes one piece; they come in order, and all of one generation. */
	void (*piece)(struct lbd *lbd, size_t at, struct json *out);
	/* The same, for those that have parts or pieces that are too long for one slice: where the piece is
	 * to be gone on with; 0: it is done. */
	size_t (*step)(const struct rendering_step *step);
	size_t parts;       /* 0: one */
	size_t state_bytes; /* 0: none */
	/* Gives back what the state owns, before it is zeroed or gone. May be NULL. */
	void (*forget)(void *state);
	size_t readers_max; /* 0: as many as there are connections */
	bool own;           /* each reader has one of its own, that is of after it was asked for */
};

/* What is asked for: those who ask for the same share a rendering. */
struct rendering_wish {
	const struct rendering_kind *kind;
	char service[LB_NAME_MAX]; /* of this one; empty: of all */
	__u32 shard, shards;       /* of those whose names are in this shard; shards 0: of all */
	bool openmetrics, gzip;
};

/* A stream of such an answer: one that is being made, or is younger than a second, or a new one. 0, -ENOMEM,
 * or -EBUSY: the kind has its readers_max, and all of them read. */
int rendering_join(struct lbd *lbd, const struct rendering_kind *kind, struct http_stream **ret_stream,
		   struct lb_error *error);
int rendering_join_wish(struct lbd *lbd, const struct rendering_wish *wish, struct http_stream **ret_stream,
			struct lb_error *error);
