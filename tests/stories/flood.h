/* SPDX-License-Identifier: GPL-2.0-only */
/* The sources of a flood: of 198.18.0.0/15, which is for benchmarks (RFC 2544) and nobody's. */
#pragma once

#define FLOOD_SOURCE      0xc6120000u
#define FLOOD_SOURCE_MASK 0xfffe0000u
