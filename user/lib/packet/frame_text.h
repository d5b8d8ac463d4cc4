/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An Ethernet frame in one line, for people: "TCP 198.51.100.7:40000 > 203.0.113.10:80 [S]". Made for what
 * was dropped, so it takes nothing for granted: lengths that cannot be are said as they are.
 */
#pragma once

#include <stddef.h>

#define LB_FRAME_TEXT_MAX 256u

/* bytes: of the frame's beginning that are at hand; frame_bytes: of the whole frame. Returns text. */
char *lb_frame_text(const void *frame, size_t bytes, size_t frame_bytes, char text[LB_FRAME_TEXT_MAX]);
