/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What root does before an agent without privileges starts: a bpf file system that outlives the agent, in
 * which the agent's user has a directory of its own; and a configuration file that it can read.
 */
#pragma once

#include "base/error.h"

/*
 * lbd --prepare USER: mounts a bpf file system on /sys/fs/bpf if there is none and bpffs (a directory) is
 * below it; makes bpffs; lets the user through to it, and gives it bpffs and what is pinned there. A
 * configuration file that is root's alone, and its directory, get the user's group, which may read. 0 or
 * -errno: -ESRCH, there is no such user; -ENOTSUP, bpffs is elsewhere and not on a bpf file system.
 */
int prepare(const char *bpffs, const char *config_file, const char *user, struct lb_error *error);
