/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bpf file system that pins are on: whether it is there, and will be there when we are not.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Whether a path, or the nearest directory above it that exists, is on a bpf file system. */
bool bpffs_is(const char *path);

/*
 * Mounts a bpf file system on /sys/fs/bpf where directory is below it and there is none. -ENOTSUP: directory
 * is elsewhere; or what is mounted from here would end with this process, whose mounts are its own (systemd
 * gives a service such): the error says what to type.
 */
int bpffs_mount(const char *directory, struct lb_error *error);

/* Makes a directory of a bpf file system, and those above it. 1: made; 0: it is there. */
int bpffs_make_directory(const char *directory, struct lb_error *error);
