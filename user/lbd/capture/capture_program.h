/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The capturing program: lb_capture, which stands in for lb_ingress while there are captures.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "lb/capture.h"

struct lb_capture_bpf;
struct maps;

/* lb_capture over the maps of the running program, with maps of its own. */
struct capture_program {
	struct lb_capture_bpf *skeleton;
	int fd;      /* of the program; -1: there are only its maps */
	__u32 id;    /* of its ring: of no other capturing program */
	int ring_fd; /* owned by the skeleton, as the next */
	int counts_fd;
	struct lb_capture_filters *filters; /* memory-mapped */
};
/* Opens the object: the running program's maps, and those of another capturing program, if given. */
int capture_program_open(const struct maps *maps, bool several_interfaces, const struct capture_program *of,
			 struct lb_capture_bpf **ret_skeleton, struct lb_error *error);
/* maps_only: for copies of it in dispatchers, which are programs of another type. frags: as program_load().
 */
int capture_program_load(const struct maps *maps, bool several_interfaces, bool maps_only, bool frags,
			 struct capture_program *ret, struct lb_error *error);
void capture_program_unload(struct capture_program *program);

/* Sum over the CPUs. */
void capture_program_count(const struct capture_program *program, __u32 number,
			   struct lb_capture_count *ret_count);
