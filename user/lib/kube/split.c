// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brackets are counted and strings are stepped over; nothing else of JSON matters here.
 */
#include "kube/split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 256u
#define KEEP      (256u << 10) /* a buffer that grew beyond is given back */

static int append(struct lb_kube_text *text, char c, size_t max)
{
	if (text->length + 2 > text->room) {
		size_t room = text->room ? 2 * text->room : 4096;
		char *larger;

		if (text->length + 2 > max)
			return -EMSGSIZE;
		larger = realloc(text->text, room);
		if (!larger)
			return -ENOMEM;
		text->text = larger;
		text->room = room;
	}
	text->text[text->length++] = c;
	text->text[text->length] = 0;
	return 0;
}

static void empty(struct lb_kube_text *text)
{
	text->length = 0;
	if (text->room > KEEP) {
		free(text->text);
		*text = (struct lb_kube_text){};
	}
}

static bool is_emitting(const struct lb_kube_split *split)
{
	return split->emit_depth > 0;
}

static int keep(struct lb_kube_split *split, char c)
{
	if (is_emitting(split))
		return append(&split->current, c, LB_KUBE_OBJECT_BYTES_MAX);
	return split->list ? append(&split->rest, c, LB_KUBE_REST_BYTES_MAX) : 0;
}

/* Keys matter in the outermost object of a list, up to the colon behind them. */
static void watch_key(struct lb_kube_split *split, char c)
{
	if (split->depth != 1 || split->after_colon)
		return;
	if (split->word < sizeof(split->key) - 1)
		split->key[split->word] = c;
	split->word++;
}

static int in_string(struct lb_kube_split *split, char c)
{
	if (split->escaped)
		split->escaped = false;
	else if (c == '\\')
		split->escaped = true;
	else if (c == '"')
		split->in_string = false;
	if (split->in_string && split->list)
		watch_key(split, c);
	return keep(split, c);
}

static int open_bracket(struct lb_kube_split *split, char c)
{
	bool emit = split->list ? c == '{' && split->in_items && split->depth == 2
				: c == '{' && split->depth == 0;

	if (split->depth == DEPTH_MAX || (split->depth == 0 && c != '{'))
		return -EBADMSG;
	if (split->list && split->depth == 1 && c == '[' && split->key_is_items)
		split->in_items = true;
	split->depth++;
	if (emit)
		split->emit_depth = split->depth;
	return keep(split, c);
}

static int emit(struct lb_kube_split *split)
{
	int r;

	split->emit_depth = 0;
	r = split->object(split->context, split->current.text, split->current.length);
	empty(&split->current);
	return r;
}

static int close_bracket(struct lb_kube_split *split, char c)
{
	int r;

	if (split->depth == 0)
		return -EBADMSG;
	r = keep(split, c);
	if (r < 0)
		return r;
	if (is_emitting(split) && split->depth == split->emit_depth)
		r = emit(split);
	split->depth--;
	if (split->depth == 1)
		split->in_items = false;
	return r < 0 ? r : 0;
}

/* What stands between brackets and strings. */
static int other(struct lb_kube_split *split, char c)
{
	bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

	if (split->depth == 0)
		return blank ? 0 : -EBADMSG;
	/* Between elements of items nothing is kept; anything but objects there is wrong. */
	if (split->in_items && !is_emitting(split))
		return blank || c == ',' ? 0 : -EBADMSG;
	if (split->depth == 1 && c == ':') {
		split->after_colon = true;
		split->key_is_items = split->word == 5 && memcmp(split->key, "items", 5) == 0;
	}
	if (split->depth == 1 && c == ',') {
		split->after_colon = false;
		split->word = 0;
	}
	return keep(split, c);
}

static int take(struct lb_kube_split *split, char c)
{
	if (split->in_string)
		return in_string(split, c);
	switch (c) {
	case '"':
		if (split->depth == 0 || (split->in_items && !is_emitting(split)))
			return -EBADMSG;
		split->in_string = true;
		return keep(split, c);
	case '{':
	case '[':
		/* A list is one object. */
		if (split->list && split->depth == 0 && split->rest.length)
			return -EBADMSG;
		return open_bracket(split, c);
	case '}':
	case ']':
		return close_bracket(split, c);
	default:
		return other(split, c);
	}
}

int lb_kube_split_feed(struct lb_kube_split *split, const char *bytes, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = take(split, bytes[i]);
	return r;
}

bool lb_kube_split_whole(const struct lb_kube_split *split)
{
	return split->depth == 0 && (!split->list || split->rest.length > 0);
}

const char *lb_kube_split_rest(const struct lb_kube_split *split)
{
	return split->rest.text ? split->rest.text : "";
}

void lb_kube_split_reset(struct lb_kube_split *split)
{
	empty(&split->current);
	empty(&split->rest);
	split->depth = split->emit_depth = 0;
	split->in_string = split->escaped = split->in_items = split->key_is_items = false;
	split->after_colon = false;
	split->word = 0;
}

void lb_kube_split_done(struct lb_kube_split *split)
{
	free(split->current.text);
	free(split->rest.text);
	split->current = split->rest = (struct lb_kube_text){};
}
