/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The services of sources in the state directory: sources/SOURCE+SERVICE, one file each, so that writing
 * costs what changed. Not synced: what a power cut damages shows by its digest, is set aside, and comes again
 * from the source.
 */
#pragma once

#include "intent/sources.h"
#include "lbd/state/store.h"

/* Reads all there are. Those that cannot be read are set aside and told. 0 or -ENOMEM. */
int sources_load(struct store *store, struct lb_sources *sources);

/* Writes what is dirty. absent: files of services that are gone may be there. Best effort: told. */
void sources_save(struct store *store, struct lb_sources *sources, bool absent);

/* Removes the files of services that are not among them. */
void sources_remove_absent(struct store *store, const struct lb_sources *sources);

void sources_remove_file(struct store *store, const char *source, const char *service);
