/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Layouts as descriptions (lb/layout.h), and the copying of records from one layout to another: field by
 * field, by name. A field that only the new one has begins as zero; one that only the old one has is left
 * behind. That is why a field's meaning is never reused: its name is what it means.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "lb/layout.h"

#define LB_LAYOUT_NAME 48

struct lb_layout_field {
	char structure[LB_LAYOUT_NAME], name[LB_LAYOUT_NAME];
	__u32 offset, bytes, count, stride;
};

struct lb_layout {
	struct lb_layout_field *fields;
	size_t n;
};

/* Text of at most length bytes; zeroes end it. 0, -ENOMEM, or -EPROTO and what is wrong with which line. */
int lb_layout_parse(const char *text, size_t length, struct lb_layout *ret_layout, struct lb_error *error);
void lb_layout_done(struct lb_layout *layout);

/* The size of a structure; 0: there is no such. */
__u32 lb_layout_size(const struct lb_layout *layout, const char *structure);
const struct lb_layout_field *lb_layout_find(const struct lb_layout *layout, const char *structure,
					     const char *name);

/* A field that is a number of up to 8 bytes, of a record of this layout; 0: it has none. */
__u64 lb_layout_number(const struct lb_layout *layout, const char *structure, const char *name,
		       const void *record);

/* Whether both describe a structure in the same way. */
bool lb_layout_same(const struct lb_layout *a, const struct lb_layout *b, const char *structure);

/* How a record becomes one of the other layout. */
struct lb_copy_part {
	__u32 from, to, bytes;
	__u32 rest; /* bytes behind it in the old record that the new one has no room for: must be zero */
};
struct lb_copy {
	__u32 old_size, new_size;
	bool same; /* byte by byte */
	struct lb_copy_part *parts;
	size_t n;
};

/* 0, -ENOMEM, or -EPROTO: a description lacks the structure, or contradicts itself. */
int lb_copy_init(struct lb_copy *copy, const struct lb_layout *from, const struct lb_layout *to,
		 const char *structure, struct lb_error *error);
/* Of records that are the same in both: bytes. */
void lb_copy_init_same(struct lb_copy *copy, __u32 bytes);
void lb_copy_done(struct lb_copy *copy);

/* All of *to is written. False: a value did not fit, and was cut. */
bool lb_copy_record(const struct lb_copy *copy, const void *from, void *to);
