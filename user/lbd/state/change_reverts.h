/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What loading the configuration file takes back: what requests have changed since it was last read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct desired;
struct lbd;

/* Zeroed: nothing is known to be taken back. */
struct reverts {
	bool all;     /* the file is as it was: whatever differs from it is taken back */
	char **paths; /* of what requests changed, sorted; owned */
	size_t n, room;
};

/*
 * next: what was read from the file. Where the text of the file as it was before is no longer kept, nothing
 * is known. Nor is it without memory.
 */
void reverts_make(const struct lbd *lbd, const struct desired *next, struct reverts *ret_reverts);
void reverts_done(struct reverts *reverts);

/* Whether a change at this place (of a struct lb_difference) takes something back. */
bool reverts_has(const struct reverts *reverts, const char *path);
