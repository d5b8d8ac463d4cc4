/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How lbctl explain marks the packets that it has the loaded program run on.
 */
#pragma once

/* The 8 bytes of metadata in front of such a packet: decide as always, but remember nothing. */
#define LB_EXPLAIN_MAGIC 0x57656972746d6578ull
