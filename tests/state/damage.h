/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens to a state directory behind lbd's back: files cut, flipped, deleted, doubled, taken from a
 * backup; strangers, links and FIFOs put in. Every path is below the current directory.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* The directories of a test, all below the current one. */
#define STATE    "state"
#define SNAPSHOT "snapshot" /* an earlier state */
#define OTHER    "other"    /* somebody else's state, with higher numbers */
#define PRECIOUS "precious" /* what links lead to: must never change */

__u64 random_next(void);
void random_seed(__u64 seed);
static inline __u64 random_below(__u64 n)
{
	return random_next() % n;
}

/* One damage at random. Prints what it did if loud. */
void damage(bool loud);

/* Takes a snapshot, or puts it in the state's place. */
void snapshot_take(void);
void snapshot_restore(void);

/* Files that damage() has put into the state since the last call and that are nobody's: how many are gone. */
size_t strangers_missing(void);

/* A whole small file without following a link anywhere in path: its length, or -1. */
long read_plain(const char *path, char *buffer, size_t size);

void write_plain(const char *path, const void *bytes, size_t length);
