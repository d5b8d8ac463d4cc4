/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What another election than keepalived's says of a group, in a file: lead-N in the run directory, one line
 * that is replaced as a whole.
 *
 *   lead NS    this balancer leads, as it was confirmed at that time of CLOCK_MONOTONIC, until another word,
 * or until another one announces a VIP of the group; a later NS confirms it anew follow     it does not
 */
#pragma once

#include <stdbool.h>

#include "lb/neighbor.h"

struct lead_file {
	char word[64]; /* as it was heeded last; empty: there is none */
};

/* Heeds a word that is new, or every word (anew) of a table that is. True: an election of that kind rules. */
bool lead_file_heed(struct lead_file *file, const char *run_dir, __u8 group, bool anew,
		    struct lb_neighbors *all);
