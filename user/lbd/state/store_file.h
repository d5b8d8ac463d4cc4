/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of the state directory. Nothing here follows a link, waits for a FIFO, or removes what is not a
 * plain file of ours; what is in the way is set aside, in the directory "aside", and told.
 */
#pragma once

#include "lbd/state/store.h"

/* A directory below the state directory ("." is itself): a descriptor, or -errno (-ENOTDIR, -ELOOP: not one).
 */
int store_subdirectory(const struct store *store, const char *name);

/* The same, made if need be; what else has its name is set aside. */
int store_make_subdirectory(struct store *store, const char *name);

/* Whole or absent: written beside, renamed; both synced if durable. 0 or -errno with *error. */
int store_write(struct store *store, const char *directory, const char *name, const char *text, size_t length,
		bool durable, struct lb_error *error);

/* The caller frees *ret_text, which is terminated. -ENOENT, -EPROTO (not a plain file), -E2BIG, errno. */
int store_read(const struct store *store, const char *directory, const char *name, char **ret_text,
	       size_t *ret_length);

/* Removes a plain file; what else has the name stays. 0 or -errno. */
int store_remove(struct store *store, const char *directory, const char *name);

/* Moves what has that name into "aside", whatever it is, under a name that is free there. 0 or -errno. */
int store_set_aside(struct store *store, const char *directory, const char *name, const char *why);

/* Has the caller wait for what the disk makes wait, and the loop not: run() touches nothing but its context.
 */
void store_wait(const struct store *store, void (*run)(void *context), void *context);

/* fsync(), as the store's owner waits for the disk. 0 or -errno. */
int store_sync(const struct store *store, int fd);

/* Tells of something that an operator should know. */
void store_tell(const struct store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
