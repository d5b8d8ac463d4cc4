/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How rows of the schema table are written: for the files that hold them.
 */
#pragma once

#include <stddef.h>

/* clang-format off */

/* Rows. The structure that a table describes is the macro T. */
#define FIELD(member) .offset = offsetof(T, member), .size = sizeof(((T *)0)->member)
#define INTEGER(from, to, otherwise) \
	.type = LB_SCHEMA_INTEGER, .minimum = (from), .maximum = (to), .value = (otherwise)
#define BOOLEAN(otherwise) .type = LB_SCHEMA_BOOLEAN, .value = (otherwise)
#define CHOICE(list, otherwise) .type = LB_SCHEMA_CHOICE, .choices = (list), .value = (otherwise)
#define STRING(how) .type = LB_SCHEMA_STRING, .format = &(how)
#define OBJECT(keys) .type = LB_SCHEMA_OBJECT, .object = (keys)
/* Behind a pointer that is NULL while the object is not given. */
#define OWNED(keys, pointer) \
	.type = LB_SCHEMA_OBJECT, .object = (keys), .owned = true, .offset = offsetof(T, pointer), .size = sizeof(*((T *)0)->pointer)
#define ARRAY(keys, pointer, count, from, to) \
	.type = LB_SCHEMA_ARRAY, .object = (keys), .offset = offsetof(T, pointer), .size = sizeof(*((T *)0)->pointer), \
	.count_offset = offsetof(T, count), .minimum = (from), .maximum = (to)
#define NO_CHOICE (-1)
