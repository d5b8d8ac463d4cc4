/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether what is pinned has the layout that this build knows.
 */
#pragma once

#include <bpf/libbpf.h>

#include "base/error.h"

/*
 * A pinned map against the map of the object that is to use it: type, sizes, flags, and its value's structure
 * by BTF where the kernel has it. flat_bytes: size of the value of a flat table, whose structure BTF cannot
 * say; else 0. 0 or -EPROTO.
 */
int map_layout_check(int fd, const struct bpf_object *object, const struct bpf_map *map, __u64 flat_bytes,
		     struct lb_error *error);
