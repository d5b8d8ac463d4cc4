/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state directory: what was running, so that a restart, a crash or a power cut comes back to it, and so
 * that an operator can go back.
 *
 *   format                  "weir-state 1": this directory is ours
 *   lock                    the pid of the running lbd, which holds the directory (flock)
 *   configs/DIGEST.json     configurations as they were given, by content
 *   generations/N.json      the last of each kind: which configuration, which overrides, when and why
 *   copy/                   the newest record and its configuration once more
 *   aside/                  what had a name of ours and was of no use
 *
 * Every file is written beside and renamed, file and directory synced, so that each is whole or absent. A
 * generation is recorded just before it becomes visible to packets; once it is, record and configuration are
 * copied: into copy/, and into the kernel (store_kernel.h) beside the tables. Each of the three is enough to
 * go on from. Records and configurations carry a digest, so that damage is seen. What cannot be read is set
 * aside, what is not ours stays where it is, no link is followed, and nothing is deleted but what our own
 * digest shows to be ours.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stddef.h>
#include <time.h>

#include "lbd/state/store_record.h"

struct store {
	char directory[PATH_MAX];
	int fd;                                        /* of the directory */
	int lock_fd;                                   /* closing it gives the lock up */
	void (*step)(void *context, const char *step); /* for tests; may be NULL */
	/* Runs what the disk makes wait; NULL: the caller waits. */
	void (*beside)(void (*run)(void *context), void *context);
	void (*tell)(void *context, const char *text); /* of what was set aside or found; may be NULL */
	void *context;
	char bpffs[PATH_MAX]; /* where the kernel's copy is pinned; empty: there is none */
	/* Of the records that are written: whose they are, and which was the last. */
	char history[STORE_DIGEST];
	__u64 stamp_ms;
	char *copying;                       /* text of the record that is yet to be copied; owned */
	char copying_config[STORE_DIGEST];   /* its configuration */
	char copied_config[2][STORE_DIGEST]; /* that copy/ and the kernel have */
	/* The configuration that this process last put there, and the file as it was then. */
	char put[STORE_DIGEST];
	__u64 put_inode;
	struct timespec put_changed;
};

/*
 * Opens, and makes if need be, a state directory, and takes its lock. 0; -EBUSY: held by another lbd, named
 * in the error; -EPROTO: it holds something else, or another version's state; any errno of the disk.
 */
int store_open(struct store *store, const char *directory, struct lb_error *error);
/*
 * The same of one that is to be removed: nothing is made, no link is followed, and *ret_marked says whether a
 * format or a record in it shows it to be ours; if not, no more is in it than a first start that was cut has
 * left. -ENOENT, without words: there is none; -EBUSY, -EPROTO: as above.
 */
int store_open_to_remove(struct store *store, const char *directory, bool *ret_marked,
			 struct lb_error *error);
void store_close(struct store *store);

/* Keeps a configuration's text; when it is there already, costs as much as reading it. */
int store_put_config(struct store *store, const char *text, size_t length, const char digest[STORE_DIGEST],
		     struct lb_error *error);
/* Whether it is the one that was last put there, and nobody has touched the file since. */
bool store_has_config(const struct store *store, const char digest[STORE_DIGEST]);
/* Reads one back, or a copy of it, and checks that it is what its name says. -EPROTO: no whole one is left.
 */
int store_get_config(const struct store *store, const char digest[STORE_DIGEST], char **ret_text,
		     size_t *ret_length, struct lb_error *error);

/* Records a generation, in place of one of the same number. Its history and stamp are the store's. */
int store_put_record(struct store *store, const struct record *record, struct lb_error *error);
int store_remove_record(struct store *store, __u64 generation);

/* Copies the record that was last put, and its configuration, to where they are kept once more. Best effort:
 * what fails is told. */
void store_copy(struct store *store);

/* All records that are whole, newest first. */
int store_list(const struct store *store, struct record **ret_records, size_t *ret_n, struct lb_error *error);

/*
 * What was running last: the newest whole record of any copy. Sets aside what has our name and cannot be
 * read, and records that are not of what the tables hold (generation: theirs; 0: there are none). 1:
 * *ret_record is the caller's; 0: there is none. From then on records are of its history.
 */
int store_recover(struct store *store, __u64 generation, struct record *ret_record, struct lb_error *error);

/* Makes every copy of a record and of its configuration whole again that is not. Best effort. */
void store_settle(struct store *store, const struct record *record);

/* A small text of the agent's own under a name; losing it costs time, nothing else. 0 or -errno. */
int store_put_note(struct store *store, const char *name, const char *text);
int store_get_note(const struct store *store, const char *name, char *ret_text, size_t size);

/* Removes the oldest of each kind beyond its budget, and configurations nothing names. Best effort. */
void store_prune(struct store *store);
