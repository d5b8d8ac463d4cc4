// SPDX-License-Identifier: GPL-2.0-only
/*
 * See layout.h. Numbers are copied as bytes from the lowest on: a little-endian machine, as both that Weir
 * runs on are, may so widen and narrow them.
 */
#include "carry/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are widened from their lowest byte on");

#define ITSELF "."

/* --- descriptions ---------------------------------------------------------------------------------------
 */

/* No field reaches beyond its structure, whose size comes before it. */
static int check_field(const struct lb_layout *layout, const struct lb_layout_field *field,
		       struct lb_error *error)
{
	__u32 size = lb_layout_size(layout, field->structure);
	__u64 end = (__u64)field->offset + field->bytes;

	if (field->count > 1)
		end += (__u64)(field->count - 1) * field->stride;
	if (!field->bytes || !field->count || (size && end > size) ||
	    (!size && strcmp(field->name, ITSELF) != 0))
		return lb_error_set(error, EPROTO,
				    "the description of the layout: %s.%s does not lie within its structure",
				    field->structure, field->name);
	if (lb_layout_find(layout, field->structure, field->name))
		return lb_error_set(error, EPROTO, "the description of the layout: %s.%s is there twice",
				    field->structure, field->name);
	return 0;
}

static int parse_line(const char *line, struct lb_layout *layout, struct lb_error *error)
{
	struct lb_layout_field field = {};
	struct lb_layout_field *fields;
	int r;

	if (sscanf(line, "%47s %47s %u %u %u %u", field.structure, field.name, &field.offset, &field.bytes,
		   &field.count, &field.stride) != 6)
		return lb_error_set(error, EPROTO, "the description of the layout has the line \"%.60s\"",
				    line);
	r = check_field(layout, &field, error);
	if (r < 0)
		return r;
	fields = realloc(layout->fields, (layout->n + 1) * sizeof(*fields));
	if (!fields)
		return lb_error_set(error, ENOMEM, "out of memory");
	layout->fields = fields;
	layout->fields[layout->n++] = field;
	return 0;
}

int lb_layout_parse(const char *text, size_t length, struct lb_layout *ret_layout, struct lb_error *error)
{
	struct lb_layout layout = {};
	const char *end = text + strnlen(text, length);
	int r = 0;

	while (r == 0 && text < end) {
		const char *newline = memchr(text, '\n', end - text);
		size_t bytes = (newline ? newline : end) - text;
		char line[256];

		if (bytes >= sizeof(line)) {
			r = lb_error_set(error, EPROTO,
					 "the description of the layout has a line of %zu "
					 "bytes",
					 bytes);
			break;
		}
		memcpy(line, text, bytes);
		line[bytes] = '\0';
		r = parse_line(line, &layout, error);
		text += bytes + (newline != NULL);
	}
	if (r < 0) {
		lb_layout_done(&layout);
		return r;
	}
	*ret_layout = layout;
	return 0;
}

void lb_layout_done(struct lb_layout *layout)
{
	free(layout->fields);
	*layout = (struct lb_layout){};
}

const struct lb_layout_field *lb_layout_find(const struct lb_layout *layout, const char *structure,
					     const char *name)
{
	for (size_t i = 0; i < layout->n; i++)
		if (strcmp(layout->fields[i].name, name) == 0 &&
		    strcmp(layout->fields[i].structure, structure) == 0)
			return &layout->fields[i];
	return NULL;
}

__u32 lb_layout_size(const struct lb_layout *layout, const char *structure)
{
	const struct lb_layout_field *itself = lb_layout_find(layout, structure, ITSELF);

	return itself ? itself->bytes : 0;
}

__u64 lb_layout_number(const struct lb_layout *layout, const char *structure, const char *name,
		       const void *record)
{
	const struct lb_layout_field *field = lb_layout_find(layout, structure, name);
	__u64 value = 0;

	if (field && field->bytes <= sizeof(value))
		memcpy(&value, (const char *)record + field->offset, field->bytes);
	return value;
}

/* Every field of a that is of the structure is in b as it is in a. */
static bool covers(const struct lb_layout *a, const struct lb_layout *b, const char *structure)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct lb_layout_field *x = &a->fields[i], *y;

		if (strcmp(x->structure, structure) != 0)
			continue;
		y = lb_layout_find(b, structure, x->name);
		if (!y || x->offset != y->offset || x->bytes != y->bytes || x->count != y->count ||
		    x->stride != y->stride)
			return false;
	}
	return true;
}

bool lb_layout_same(const struct lb_layout *a, const struct lb_layout *b, const char *structure)
{
	return covers(a, b, structure) && covers(b, a, structure);
}

/* --- copying -------------------------------------------------------------------------------------------- */

void lb_copy_init_same(struct lb_copy *copy, __u32 bytes)
{
	*copy = (struct lb_copy){ .old_size = bytes, .new_size = bytes, .same = true };
}

void lb_copy_done(struct lb_copy *copy)
{
	free(copy->parts);
	*copy = (struct lb_copy){};
}

static int add_parts(struct lb_copy *copy, const struct lb_layout_field *from,
		     const struct lb_layout_field *to)
{
	__u32 count = from->count < to->count ? from->count : to->count;
	struct lb_copy_part *parts = realloc(copy->parts, (copy->n + count) * sizeof(*parts));

	if (!parts)
		return -ENOMEM;
	copy->parts = parts;
	for (__u32 i = 0; i < count; i++) {
		__u32 bytes = from->bytes < to->bytes ? from->bytes : to->bytes;

		copy->parts[copy->n++] = (struct lb_copy_part){ .from = from->offset + i * from->stride,
								.to = to->offset + i * to->stride,
								.bytes = bytes,
								.rest = from->bytes - bytes };
	}
	return 0;
}

int lb_copy_init(struct lb_copy *copy, const struct lb_layout *from, const struct lb_layout *to,
		 const char *structure, struct lb_error *error)
{
	*copy = (struct lb_copy){ .old_size = lb_layout_size(from, structure),
				  .new_size = lb_layout_size(to, structure) };
	if (!copy->old_size || !copy->new_size)
		return lb_error_set(error, EPROTO, "the description of the %s layout lacks the structure %s",
				    copy->old_size ? "new" : "old", structure);
	if (lb_layout_same(from, to, structure)) {
		copy->same = true;
		return 0;
	}
	for (size_t i = 0; i < to->n; i++) {
		const struct lb_layout_field *field = &to->fields[i], *old;

		if (strcmp(field->structure, structure) != 0 || strcmp(field->name, ITSELF) == 0)
			continue;
		old = lb_layout_find(from, structure, field->name);
		if (old && add_parts(copy, old, field) < 0) {
			lb_copy_done(copy);
			return lb_error_set(error, ENOMEM, "out of memory");
		}
	}
	return 0;
}

static bool is_zero(const char *bytes, size_t n)
{
	while (n && !*bytes) {
		bytes++;
		n--;
	}
	return !n;
}

bool lb_copy_record(const struct lb_copy *copy, const void *from, void *to)
{
	bool fits = true;

	if (copy->same) {
		memcpy(to, from, copy->new_size);
		return true;
	}
	memset(to, 0, copy->new_size);
	for (size_t i = 0; i < copy->n; i++) {
		const struct lb_copy_part *part = &copy->parts[i];

		memcpy((char *)to + part->to, (const char *)from + part->from, part->bytes);
		if (part->rest)
			fits &= is_zero((const char *)from + part->from + part->bytes, part->rest);
	}
	return fits;
}
