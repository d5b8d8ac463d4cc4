/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state directory: what was running, so that a restart, a crash or a power cut comes back to it, and so
 * that an operator can go back.
 *
 *   format                  "weir-state 1": this directory is ours
 *   lock                    held (flock) by the running lbd, with its pid
 *   configs/DIGEST.json     configurations as they were given, by content
 *   generations/N.json      the last STORE_GENERATIONS: which configuration, which overrides, when and why
 *
 * Every file is written beside and renamed, file and directory synced, so that each is whole or absent. A
 * generation is recorded just before it becomes visible to packets. What cannot be read is never deleted.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stddef.h>
#include <time.h>

#include "engine/engine.h"

#define STORE_GENERATIONS 10u
#define STORE_DIGEST      33 /* XXH3, 128 bits in hexadecimal, and a zero */

struct store {
	char directory[PATH_MAX];
	int fd;                                        /* of the directory */
	int lock_fd;                                   /* closing it gives the lock up */
	void (*step)(void *context, const char *step); /* for tests; may be NULL */
	void *context;
	/* The configuration that this process last put there, and the file as it was then. */
	char put[STORE_DIGEST];
	__u64 put_inode;
	struct timespec put_changed;
};

struct record {
	__u64 generation;
	__s64 time_s; /* wall clock */
	char cause[128];
	char config[STORE_DIGEST];
	char file_digest[STORE_DIGEST]; /* of the configuration file when it was last read; empty: never */
	__u64 services;
	struct lb_override *overrides; /* owned */
	size_t n_overrides;
};

void record_done(struct record *record);
void records_free(struct record *records, size_t n);

void store_digest(const void *bytes, size_t length, char ret_digest[STORE_DIGEST]);

/*
 * Opens, and makes if need be, a state directory, and takes its lock. 0; -EBUSY: held by another lbd, named
 * in the error; -EPROTO: it holds something else, or another version's state; any errno of the disk.
 */
int store_open(struct store *store, const char *directory, struct lb_error *error);
void store_close(struct store *store);

/* Keeps a configuration's text; when it is there already, costs as much as reading it. */
int store_put_config(struct store *store, const char *text, size_t length, const char digest[STORE_DIGEST],
		     struct lb_error *error);
/* Whether it is the one that was last put there, and nobody has touched the file since. */
bool store_has_config(const struct store *store, const char digest[STORE_DIGEST]);
/* Reads one back and checks that it is what its name says. -ENOENT, -EPROTO (damaged), errno. */
int store_get_config(const struct store *store, const char digest[STORE_DIGEST], char **ret_text,
		     size_t *ret_length, struct lb_error *error);

/* Records a generation, in place of one of the same number. */
int store_put_record(struct store *store, const struct record *record, struct lb_error *error);
int store_remove_record(struct store *store, __u64 generation);

/* All records, newest first. -EPROTO: one cannot be read; the error names the file. */
int store_list(const struct store *store, struct record **ret_records, size_t *ret_n, struct lb_error *error);

/* A small text of the agent's own under a name; losing it costs time, nothing else. 0 or -errno. */
int store_put_note(struct store *store, const char *name, const char *text);
int store_get_note(const struct store *store, const char *name, char *ret_text, size_t size);

/* Removes what is older than the last STORE_GENERATIONS, and configurations nothing names. Best effort. */
void store_prune(struct store *store);
