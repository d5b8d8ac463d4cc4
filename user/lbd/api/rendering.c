// SPDX-License-Identifier: GPL-2.0-only
/*
 * A rendering lives as long as it has readers. Nobody is sent a byte before it is whole: what changes
 * meanwhile (a generation) has it made anew.
 */
#include "lbd/api/rendering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "lbd/api/http_stream.h"
#include "lbd/clock.h"

#define TOTAL_BYTES (64u << 20) /* of all renderings; the newest may be larger alone */
#define SHARED_MS   1000u       /* so old may an answer be */
#define SLICE_NS    1000000u
#define ATTEMPTS    3 /* to make it while generations pass; then at one go */

struct rendering;

struct reader {
	struct rendering *rendering;
	struct http_stream *stream;
	size_t at; /* bytes sent */
	TAILQ_ENTRY(reader) list;
};

struct rendering {
	struct lbd *lbd;
	const struct rendering_kind *kind;
	struct json out;
	size_t next; /* piece */
	__u64 generation, begun_ms;
	int attempts;
	bool whole, cut_off;
	sd_event_source *work;
	TAILQ_HEAD(, reader) readers;
	TAILQ_ENTRY(rendering) list;
};

/* Oldest first. Of the process: there is one agent in it. */
static TAILQ_HEAD(, rendering) renderings = TAILQ_HEAD_INITIALIZER(renderings);

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void rendering_free(struct rendering *rendering)
{
	TAILQ_REMOVE(&renderings, rendering, list);
	sd_event_source_disable_unref(rendering->work);
	json_done(&rendering->out);
	free(rendering);
}

static void wake_all(struct rendering *rendering)
{
	struct reader *reader;

	TAILQ_FOREACH(reader, &rendering->readers, list)
	http_stream_wake(reader->stream);
}

/* While all together are too large, the oldest one's memory goes, and its clients. */
static void keep_bound(const struct rendering *newest)
{
	struct rendering *rendering;
	size_t total = 0;

	TAILQ_FOREACH(rendering, &renderings, list)
	total += rendering->out.capacity;
	TAILQ_FOREACH(rendering, &renderings, list)
	{
		if (total <= TOTAL_BYTES)
			return;
		if (rendering == newest || rendering->cut_off)
			continue;
		total -= rendering->out.capacity;
		json_done(&rendering->out);
		rendering->cut_off = true;
		sd_event_source_set_enabled(rendering->work, SD_EVENT_OFF);
		wake_all(rendering);
	}
}

static void begin(struct rendering *rendering)
{
	json_done(&rendering->out);
	rendering->next = 0;
	rendering->generation = lb_engine_generation(rendering->lbd->engine);
	rendering->attempts++;
}

/* Does a slice; true: it is whole. */
static bool go_on(struct rendering *rendering)
{
	struct lbd *lbd = rendering->lbd;
	__u64 end = now_ns() + SLICE_NS;

	if (rendering->generation != lb_engine_generation(lbd->engine))
		begin(rendering);
	while (rendering->next < rendering->kind->pieces(lbd)) {
		rendering->kind->piece(lbd, rendering->next++, &rendering->out);
		if (now_ns() > end && rendering->attempts <= ATTEMPTS)
			return false;
	}
	return true;
}

static int on_work(sd_event_source *source, void *context)
{
	struct rendering *rendering = context;

	rendering->whole = go_on(rendering);
	keep_bound(rendering);
	if (!rendering->whole)
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	rendering->cut_off = rendering->out.failed;
	wake_all(rendering);
	return 0;
}

/* --- readers ---------------------------------------------------------------------------------------------
 */

static ssize_t on_read(void *context, char *buffer, size_t room)
{
	struct reader *reader = context;
	const struct rendering *rendering = reader->rendering;
	size_t left = rendering->out.length - reader->at;

	if (rendering->cut_off)
		return HTTP_SOURCE_BROKEN;
	if (!rendering->whole)
		return 0;
	if (left == 0)
		return -1;
	left = left < room ? left : room;
	memcpy(buffer, rendering->out.text + reader->at, left);
	reader->at += left;
	return left;
}

/* It still listens. */
static void on_finish(void *context)
{
}

static void on_closed(void *context)
{
	struct reader *reader = context;
	struct rendering *rendering = reader->rendering;

	TAILQ_REMOVE(&rendering->readers, reader, list);
	free(reader);
	if (TAILQ_EMPTY(&rendering->readers))
		rendering_free(rendering);
}

static struct rendering *find(const struct lbd *lbd, const struct rendering_kind *kind)
{
	struct rendering *rendering;

	TAILQ_FOREACH(rendering, &renderings, list)
	{
		if (rendering->kind != kind || rendering->lbd != lbd || rendering->cut_off)
			continue;
		if (!rendering->whole || (rendering->generation == lb_engine_generation(lbd->engine) &&
					  now_ms() - rendering->begun_ms < SHARED_MS))
			return rendering;
	}
	return NULL;
}

static struct rendering *make(struct lbd *lbd, const struct rendering_kind *kind)
{
	struct rendering *rendering = calloc(1, sizeof(*rendering));

	if (!rendering)
		return NULL;
	rendering->lbd = lbd;
	rendering->kind = kind;
	rendering->begun_ms = now_ms();
	TAILQ_INIT(&rendering->readers);
	TAILQ_INSERT_TAIL(&renderings, rendering, list);
	begin(rendering);
	if (sd_event_add_defer(lbd->event, &rendering->work, on_work, rendering) < 0 ||
	    sd_event_source_set_enabled(rendering->work, SD_EVENT_ON) < 0) {
		rendering_free(rendering);
		return NULL;
	}
	return rendering;
}

int rendering_join(struct lbd *lbd, const struct rendering_kind *kind, struct http_stream **ret_stream,
		   struct lb_error *error)
{
	struct rendering *rendering = find(lbd, kind);
	struct reader *reader = calloc(1, sizeof(*reader));
	const struct http_source source = {
		.read = on_read, .finish = on_finish, .closed = on_closed, .context = reader
	};

	if (reader && !rendering)
		rendering = make(lbd, kind);
	if (!reader || !rendering) {
		free(reader);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	reader->rendering = rendering;
	TAILQ_INSERT_TAIL(&rendering->readers, reader, list);
	reader->stream = http_stream_new(&source);
	if (!reader->stream) {
		on_closed(reader);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	*ret_stream = reader->stream;
	return 0;
}
