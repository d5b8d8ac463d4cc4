/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent keeps of drift; what is done with it is in drift.h.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "lbd/api/json.h"
#include "lbd/state/store.h"

struct lbd_drift {
	/* Of when it was last looked at: the file as the kernel tells of it, what ran. */
	struct stat file;
	char running[STORE_DIGEST];
	bool looked;

	size_t n;            /* keys that differ */
	struct json changes; /* the first ones, elements of a JSON array; owned */
	char text[400];      /* the first ones, for people */
	char error[800];     /* why the file could not be compared; empty: it could */
	__s64 since_s;       /* wall clock; 0: there is none */
};
