/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Texts that the kernel keeps: in arrays pinned beside the packet path's maps. They live and die with the
 * tables that they tell of, and no damage of a disk reaches them.
 */
#pragma once

#include <stddef.h>

/* Puts a text under a name (lb_*) in a directory of a bpf file system, in place of what is there: whole, or
 * not at all. 0 or -errno. */
int store_kernel_put(const char *bpffs, const char *name, const char *text, size_t length);

/* The caller frees *ret_text, which is terminated. -ENOENT, -EPROTO (not one of ours), errno. */
int store_kernel_get(const char *bpffs, const char *name, char **ret_text, size_t *ret_length);

void store_kernel_remove(const char *bpffs, const char *name);
