/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-neighbor: what a flat LAN needs beside lbd and the packet path, and independent of both: it tells the
 * packet path that this balancer leads, for as long as it does, and the LAN where the VIPs are. See
 * lb-neighbor(8).
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stdbool.h>

#include "announce/neighbors.h"
#include "base/clock.h"
#include "base/error.h"

#define BPFFS_DEFAULT "/sys/fs/bpf/weir"
#define RUN_DEFAULT   "/run/lb-neighbor"
#define NS_PER_MS     1000000ull

struct options {
	const char *bpffs;
	const char *run_dir;
	unsigned int group;
	double seconds; /* of lead */
	bool json;
};

/* The packet path's table, memory-mapped. */
struct table {
	struct lb_neighbors *all; /* NULL: there is none (yet) */
	__u64 inode;              /* of the pin that it was opened by */
};

void say(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Opens the table that is pinned, or keeps what is open if it is the same. 0 or -errno (-ENOENT: no lbd has
 * made one); all is then NULL. */
int table_open(struct table *table, const char *bpffs, struct lb_error *error);
void table_close(struct table *table);

/* run.c: until it is told to end; an exit status. */
int verb_run(const struct options *options);
