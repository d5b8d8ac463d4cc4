/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where in a JSON text what stands, so that a part can be changed and all else stays as somebody wrote it.
 * The text must be valid JSON (a parser has read it before); then no function reads behind its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct lb_json_span {
	size_t begin, end; /* bytes; end is behind the last one */
};

/* The value that begins at or behind a place. */
struct lb_json_span lb_json_span_value(const char *text, size_t length, size_t at);

/* Walks the members of an object or the elements of an array. Start with { .text, .length, .at = the span's
 * begin + 1 }. */
struct lb_json_walk {
	const char *text;
	size_t length, at;
	struct lb_json_span key, value; /* key: of members, with its quotes */
};
bool lb_json_walk_members(struct lb_json_walk *walk);
bool lb_json_walk_elements(struct lb_json_walk *walk);

/* Whether a span is the string. */
bool lb_json_span_is(const char *text, struct lb_json_span span, const char *string);

/* The member of an object, or false. *ret_member: from its key to the end of its value. */
bool lb_json_span_member(const char *text, size_t length, struct lb_json_span object, const char *key,
			 struct lb_json_span *ret_value, struct lb_json_span *ret_member);

/* The element of an array of objects whose "name" this is, or false. */
bool lb_json_span_named(const char *text, size_t length, struct lb_json_span array, const char *name,
			struct lb_json_span *ret_element);

/* What goes away with a member or an element: it, and one comma beside it. */
struct lb_json_span lb_json_span_to_remove(const char *text, size_t length, struct lb_json_span part);
