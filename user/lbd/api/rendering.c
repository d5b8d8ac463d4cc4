// SPDX-License-Identifier: GPL-2.0-only
/*
 * A rendering lives as long as it has readers. Nobody is sent a byte before it is whole: what changes
 * meanwhile (a generation) has it made anew. One slice of one of them is made in a turn of the loop, however
 * many there are.
 */
#include "lbd/api/rendering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lbd/api/http_stream.h"
#include "lbd/api/packing.h"
#include "lbd/clock.h"

#define TOTAL_BYTES    (64u << 20) /* of all renderings; the newest may be larger alone */
#define SHARED_MS      1000u       /* so old may an answer be */
#define SLICE_NS       1000000u
#define PACKED_AT_ONCE (32u << 10) /* bytes, about half a slice */
#define ATTEMPTS       3           /* to make it while generations pass; then at one go */
#define STALLED_MS     2000u       /* a reader that has taken nothing for so long gives way to others */

struct rendering;

struct reader {
	struct rendering *rendering;
	struct http_stream *stream;
	size_t part, at; /* sent: so many parts, and bytes of the next one */
	__u64 moved_ms;  /* when it last took something */
	bool cut_off;
	TAILQ_ENTRY(reader) list;
};

struct rendering {
	struct lbd *lbd;
	struct rendering_wish wish;
	struct json *parts; /* owned */
	size_t n_parts;
	void *state;       /* owned */
	size_t next, from; /* piece, and where to go on in it */
	struct packing *packing;
	struct json packed;
	size_t packed_part, packed_at; /* of parts, that are in packed */
	__u64 generation, begun_ms, slices;
	int attempts;
	bool whole, cut_off;
	TAILQ_HEAD(, reader) readers;
	TAILQ_ENTRY(rendering) list;
};

/* Oldest first. Of the process: there is one agent in it. */
static TAILQ_HEAD(, rendering) renderings = TAILQ_HEAD_INITIALIZER(renderings);
static sd_event_source *work; /* while there are renderings */

static void forget_text(struct rendering *rendering)
{
	for (size_t i = 0; rendering->parts && i < rendering->n_parts; i++)
		json_done(&rendering->parts[i]);
	json_done(&rendering->packed);
	packing_free(rendering->packing);
	rendering->packing = NULL;
	rendering->packed_part = rendering->packed_at = 0;
}

static void forget_state(struct rendering *rendering)
{
	if (rendering->state && rendering->wish.kind->forget)
		rendering->wish.kind->forget(rendering->state);
}

static void rendering_free(struct rendering *rendering)
{
	TAILQ_REMOVE(&renderings, rendering, list);
	if (TAILQ_EMPTY(&renderings))
		work = sd_event_source_disable_unref(work);
	forget_text(rendering);
	free(rendering->parts);
	forget_state(rendering);
	free(rendering->state);
	free(rendering);
}

static void wake_all(struct rendering *rendering)
{
	struct reader *reader;

	TAILQ_FOREACH(reader, &rendering->readers, list)
	{
		reader->moved_ms = now_ms();
		http_stream_wake(reader->stream);
	}
}

static size_t size_of(const struct rendering *rendering)
{
	size_t total = rendering->packed.capacity;

	for (size_t i = 0; i < rendering->n_parts; i++)
		total += rendering->parts[i].capacity;
	return total;
}

static void cut_off(struct rendering *rendering)
{
	forget_text(rendering);
	rendering->cut_off = true;
	wake_all(rendering);
}

/* While all together are too large, the oldest one's memory goes, and its clients. */
static void keep_bound(const struct rendering *newest)
{
	struct rendering *rendering;
	size_t total = 0;

	TAILQ_FOREACH(rendering, &renderings, list)
	total += size_of(rendering);
	TAILQ_FOREACH(rendering, &renderings, list)
	{
		if (total <= TOTAL_BYTES)
			return;
		if (rendering == newest || rendering->cut_off)
			continue;
		total -= size_of(rendering);
		cut_off(rendering);
	}
}

/* --- making ----------------------------------------------------------------------------------------------
 */

/* How long parts were when a whole answer of a kind was last made: the next one's memory need not grow, which
 * copies up to half of it. */
#define KINDS_MAX 16u
#define PARTS_MAX 8u

static struct lengths {
	const struct rendering_kind *kind;
	size_t part[PARTS_MAX];
} lengths[KINDS_MAX];

static struct lengths *lengths_of(const struct rendering *rendering)
{
	for (size_t i = 0; i < KINDS_MAX && !rendering->wish.service[0] && !rendering->wish.shards; i++) {
		if (!lengths[i].kind)
			lengths[i].kind = rendering->wish.kind;
		if (lengths[i].kind == rendering->wish.kind)
			return &lengths[i];
	}
	return NULL;
}

static void reserve(struct rendering *rendering)
{
	const struct lengths *before = lengths_of(rendering);

	for (size_t i = 0; before && i < rendering->n_parts && i < PARTS_MAX; i++)
		if (before->part[i])
			(void)json_reserve(&rendering->parts[i], before->part[i] + before->part[i] / 8);
}

static void note_lengths(const struct rendering *rendering)
{
	struct lengths *now = lengths_of(rendering);

	for (size_t i = 0; now && i < rendering->n_parts && i < PARTS_MAX; i++)
		now->part[i] = rendering->parts[i].length;
}

static void begin(struct rendering *rendering)
{
	forget_text(rendering);
	reserve(rendering);
	forget_state(rendering);
	if (rendering->state)
		memset(rendering->state, 0, rendering->wish.kind->state_bytes);
	rendering->next = rendering->from = 0;
	rendering->generation = lb_engine_generation(rendering->lbd->engine);
	rendering->attempts++;
}

static void make_step(struct rendering *rendering)
{
	const struct rendering_kind *kind = rendering->wish.kind;
	const struct rendering_step step = {
		.lbd = rendering->lbd,
		.wish = &rendering->wish,
		.piece = rendering->next,
		.from = rendering->from,
		.parts = rendering->parts,
		.state = rendering->state,
	};

	if (kind->step)
		rendering->from = kind->step(&step);
	else
		kind->piece(rendering->lbd, rendering->next, rendering->parts);
	lb_engine_forget_views(rendering->lbd->engine);
	rendering->next += rendering->from == 0;
}

/* The next bytes into packed; true: that was all, and packed is what is sent. */
static bool pack_step(struct rendering *rendering)
{
	struct json *part = &rendering->parts[rendering->packed_part];
	size_t left = part->length - rendering->packed_at, n = left < PACKED_AT_ONCE ? left : PACKED_AT_ONCE;
	bool last = rendering->packed_part == rendering->n_parts - 1 && n == left;

	if (!rendering->packing)
		rendering->packing = packing_new();
	if (!rendering->packing || !packing_add(rendering->packing, part->text + rendering->packed_at, n,
						last, &rendering->packed)) {
		rendering->packed.failed = true;
		return true;
	}
	rendering->packed_at += n;
	if (n == left) {
		json_done(part);
		rendering->packed_part += !last;
		rendering->packed_at = 0;
	}
	return last;
}

/* Does a slice; true: it is whole. */
static bool go_on(struct rendering *rendering)
{
	struct lbd *lbd = rendering->lbd;
	const struct rendering_kind *kind = rendering->wish.kind;
	__u64 end = lb_now_ns() + SLICE_NS;

	if (rendering->next < kind->pieces(lbd) && rendering->generation != lb_engine_generation(lbd->engine))
		begin(rendering);
	while (rendering->next < kind->pieces(lbd)) {
		make_step(rendering);
		if (rendering->next == kind->pieces(lbd))
			note_lengths(rendering);
		if (lb_now_ns() > end && rendering->attempts <= ATTEMPTS)
			return false;
	}
	while (rendering->wish.gzip) {
		if (pack_step(rendering))
			break;
		if (lb_now_ns() > end)
			return false;
	}
	return true;
}

static bool has_failed(const struct rendering *rendering)
{
	bool failed = rendering->packed.failed;

	for (size_t i = 0; i < rendering->n_parts; i++)
		failed |= rendering->parts[i].failed;
	return failed;
}

/* Of those that are being made the one that has had the fewest slices: short ones do not wait for long ones.
 */
static struct rendering *next_to_make(void)
{
	struct rendering *rendering, *next = NULL;

	TAILQ_FOREACH(rendering, &renderings, list)
	if (!rendering->whole && !rendering->cut_off && (!next || rendering->slices < next->slices))
		next = rendering;
	return next;
}

static int on_work(sd_event_source *source, uint64_t usec, void *context)
{
	struct rendering *rendering = next_to_make();

	if (!rendering)
		return 0;
	rendering->slices++;
	rendering->whole = go_on(rendering);
	keep_bound(rendering);
	if (rendering->whole && has_failed(rendering))
		cut_off(rendering);
	else if (rendering->whole)
		wake_all(rendering);
	/* By way of a timer: what is always pending would go before all else, as long as there is work. */
	return next_to_make() ? sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) : 0;
}

static int work_begins(struct lbd *lbd)
{
	if (!work)
		return sd_event_add_time(lbd->event, &work, CLOCK_MONOTONIC, 0, 1, on_work, NULL);
	return sd_event_source_set_enabled(work, SD_EVENT_ONESHOT);
}

/* --- readers ---------------------------------------------------------------------------------------------
 */

/* The part that is to be sent next; NULL: all is sent. */
static const struct json *part_of(struct reader *reader)
{
	const struct rendering *rendering = reader->rendering;

	if (rendering->wish.gzip)
		return reader->at < rendering->packed.length ? &rendering->packed : NULL;
	for (; reader->part < rendering->n_parts; reader->part++, reader->at = 0)
		if (reader->at < rendering->parts[reader->part].length)
			return &rendering->parts[reader->part];
	return NULL;
}

static ssize_t on_read(void *context, char *buffer, size_t room)
{
	struct reader *reader = context;
	const struct rendering *rendering = reader->rendering;
	const struct json *part;
	size_t filled = 0;

	if (rendering->cut_off || reader->cut_off)
		return HTTP_SOURCE_BROKEN;
	if (!rendering->whole)
		return 0;
	while (filled < room && (part = part_of(reader))) {
		size_t left = part->length - reader->at, n = left < room - filled ? left : room - filled;

		memcpy(buffer + filled, part->text + reader->at, n);
		reader->at += n;
		filled += n;
	}
	reader->moved_ms = now_ms();
	return filled ? (ssize_t)filled : -1;
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

static bool same_wish(const struct rendering_wish *a, const struct rendering_wish *b)
{
	return a->kind == b->kind && a->shard == b->shard && a->shards == b->shards &&
	       a->openmetrics == b->openmetrics && a->gzip == b->gzip && strcmp(a->service, b->service) == 0;
}

static struct rendering *find(const struct lbd *lbd, const struct rendering_wish *wish)
{
	struct rendering *rendering;

	TAILQ_FOREACH(rendering, &renderings, list)
	{
		if (!same_wish(&rendering->wish, wish) || rendering->lbd != lbd || rendering->cut_off)
			continue;
		if (!rendering->whole || (rendering->generation == lb_engine_generation(lbd->engine) &&
					  now_ms() - rendering->begun_ms < SHARED_MS))
			return rendering;
	}
	return NULL;
}

/* Whether one more may read; a reader that stands still gives way. */
static bool has_room(const struct rendering_kind *kind)
{
	struct reader *reader, *slowest = NULL;
	struct rendering *rendering;
	size_t n = 0;

	if (!kind->readers_max)
		return true;
	TAILQ_FOREACH(rendering, &renderings, list)
	{
		if (rendering->wish.kind != kind)
			continue;
		TAILQ_FOREACH(reader, &rendering->readers, list)
		{
			n += !reader->cut_off;
			if (rendering->whole && !reader->cut_off &&
			    (!slowest || reader->moved_ms < slowest->moved_ms))
				slowest = reader;
		}
	}
	if (n < kind->readers_max)
		return true;
	if (!slowest || now_ms() - slowest->moved_ms < STALLED_MS)
		return false;
	slowest->cut_off = true;
	http_stream_abort(slowest->stream);
	return true;
}

static struct rendering *make(struct lbd *lbd, const struct rendering_wish *wish)
{
	struct rendering *rendering = calloc(1, sizeof(*rendering));
	size_t parts = wish->kind->parts ? wish->kind->parts : 1;

	if (!rendering)
		return NULL;
	rendering->lbd = lbd;
	rendering->wish = *wish;
	rendering->n_parts = parts;
	rendering->parts = calloc(parts, sizeof(*rendering->parts));
	rendering->state = calloc(1, wish->kind->state_bytes + 1);
	rendering->begun_ms = now_ms();
	TAILQ_INIT(&rendering->readers);
	TAILQ_INSERT_TAIL(&renderings, rendering, list);
	if (!rendering->parts || !rendering->state || work_begins(lbd) < 0) {
		rendering_free(rendering);
		return NULL;
	}
	begin(rendering);
	return rendering;
}

int rendering_join_wish(struct lbd *lbd, const struct rendering_wish *wish, struct http_stream **ret_stream,
			struct lb_error *error)
{
	struct rendering *rendering;
	struct reader *reader;
	struct http_source source = { .read = on_read, .finish = on_finish, .closed = on_closed };

	if (!has_room(wish->kind))
		return lb_error_set(error, EBUSY, "too many clients read this already: try again");
	rendering = wish->kind->own ? NULL : find(lbd, wish);
	reader = calloc(1, sizeof(*reader));
	if (reader && !rendering)
		rendering = make(lbd, wish);
	if (!reader || !rendering) {
		free(reader);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	reader->rendering = rendering;
	reader->moved_ms = now_ms();
	TAILQ_INSERT_TAIL(&rendering->readers, reader, list);
	source.context = reader;
	reader->stream = http_stream_new(&source);
	if (!reader->stream) {
		on_closed(reader);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	*ret_stream = reader->stream;
	return 0;
}

int rendering_join(struct lbd *lbd, const struct rendering_kind *kind, struct http_stream **ret_stream,
		   struct lb_error *error)
{
	const struct rendering_wish wish = { .kind = kind };

	return rendering_join_wish(lbd, &wish, ret_stream, error);
}
