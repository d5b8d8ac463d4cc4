/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sources: services that helpers bring, beside those of the file. Pure: what a source may do is judged here,
 * and what runs is the file's services with those of the sources that fit. The file comes first: what it has,
 * no source can have, and where it takes something that a source brought, that is hidden until it is free.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

struct lb_source_service {
	struct lb_config_service service; /* with .source; owned */
	__u64 revision;
	__u64 window_weight; /* usable weight when the running minute began... */
	__s64 window_s;      /* ...and when that was; 0: none runs */
	bool hidden;         /* not among what runs: the file leaves it no room */
	bool dirty;          /* not as it is on the disk */
	bool unplanned;      /* not as it is in what runs */
};

/* Ordered by source and name. Zeroed: none. */
struct lb_sources {
	struct lb_source_service **all; /* owned */
	size_t n, room;
	bool reshaped; /* services came or went, or claim other packets, since lb_sources_planned() */
};

void lb_sources_done(struct lb_sources *sources);

/* The services of a source: how many, and the place of the first. */
size_t lb_sources_of(const struct lb_sources *sources, const char *source, size_t *ret_first);

/* NULL: there is none. */
struct lb_source_service *lb_sources_find(const struct lb_sources *sources, const char *source,
					  const char *name);

/* The source of that name, or with that uid, in a configuration; NULL: there is none. */
const struct lb_config_source *lb_source_named(const struct lb_config *file, const char *name);
const struct lb_config_source *lb_source_of_uid(const struct lb_config *file, __u32 uid);

/* Whether the file lets a source claim this VIP. */
bool lb_source_may_claim(const struct lb_config_source *source, const struct lb_prefix *vip);

/* What a source wants to be. */
struct lb_source_put {
	const struct lb_config *file;
	const struct lb_config_source *source; /* of file */
	struct lb_config *services;            /* checked for itself; what is taken from it is NULL then */
	bool whole;                            /* these, and no others */
	__u64 revision;
	bool exceed; /* the explicit word: more weight may go than the source is allowed to take away */
	__s64 now_s; /* any clock that nobody sets */
};

/*
 * Whether it may: 0; -EPERM: a VIP that it may not claim, a service of the file or of another source, more
 * than it may have; -EBUSY: too much usable weight would go at once; -ESTALE: a service is there with a
 * later revision (or another content of the same); -ENOMEM. *error names the place.
 */
int lb_sources_judge(const struct lb_sources *sources, const struct lb_source_put *put,
		     struct lb_error *error);

/* Makes it so, after it was judged. How many services changed, or -ENOMEM; nothing has changed then. */
int lb_sources_put(struct lb_sources *sources, struct lb_source_put *put);

/* The same for taking away one service: -ESRCH: there is none; -EBUSY, -ESTALE as above; 0. */
int lb_sources_judge_delete(const struct lb_sources *sources, const struct lb_source_put *put,
			    const char *name, struct lb_error *error);
void lb_sources_delete(struct lb_sources *sources, const char *source, const char *name);

/*
 * What is to run: a copy of the file with the services of its sources, in their order, as far as they fit;
 * what is of no source of the file is left out. 0 or -ENOMEM.
 */
int lb_sources_merge(const struct lb_sources *sources, const struct lb_config *file,
		     struct lb_config **ret_merged);

/*
 * The same at a cost of what has changed, where services have only changed within: what runs (as merged),
 * shared (lb_config_share), with their new contents. -EAGAIN: it has to be merged anew; -ENOMEM.
 */
int lb_sources_patch(const struct lb_sources *sources, const struct lb_config *running,
		     struct lb_config **ret_patched);

/* What runs is of what there is now (as merged, or patched). */
void lb_sources_planned(struct lb_sources *sources);

/* Marks as hidden what is not among what runs (as merged). How many are. */
size_t lb_sources_mark(struct lb_sources *sources, const struct lb_config *running);

/* Forgets the services of sources that a file does not list: each is told before (told may be NULL). How
 * many. */
size_t lb_sources_forget(struct lb_sources *sources, const struct lb_config *file,
			 void (*told)(void *context, const struct lb_source_service *service), void *context);
