/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the structures in a set of pinned maps look like, in words, pinned beside them: the next version reads
 * it and carries everything over field by field, by name (user/lib/carry). One line a field,
 *
 *   STRUCTURE FIELD OFFSET BYTES COUNT STRIDE
 *
 * of a structure's own size FIELD is "."; a field of a structure in an array has the array's name before its
 * own, with a dot, and is there COUNT times, STRIDE bytes apart. Zeroes end the text.
 */
#pragma once

#include <linux/types.h>

#define LB_LAYOUT_TEXT_BYTES 65536u

struct lb_layout_text {
	char text[LB_LAYOUT_TEXT_BYTES];
};
