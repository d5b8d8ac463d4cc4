// SPDX-License-Identifier: GPL-2.0-only
/* Costs of programs; see programs.h. */
#include "lbctl/profile/programs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbctl/lbctl.h"

#define OURS "lb_"

int programs_count(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

/* 0: it is gone, or is not ours; 1: it is in *ret. */
static int look_at(unsigned int id, struct program_cost *ret)
{
	_cleanup_(closep) int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (strncmp(info.name, OURS, strlen(OURS)) != 0)
		return 0;
	*ret = (struct program_cost){ .id = id, .runs = info.run_cnt, .ns = info.run_time_ns };
	snprintf(ret->name, sizeof(ret->name), "%s", info.name);
	return 1;
}

int programs_look(struct program_cost **ret_programs, size_t *ret_n)
{
	struct program_cost *programs = NULL;
	size_t n = 0, room = 0;
	__u32 id = 0;
	int r = 0;

	while (r >= 0 && bpf_prog_get_next_id(id, &id) == 0) {
		if (n == room) {
			room = room ? 2 * room : 16;
			programs = realloc(programs, room * sizeof(*programs));
			if (!programs)
				lbctl_memory();
		}
		r = look_at(id, &programs[n]);
		n += r > 0;
	}
	if (r >= 0 && errno != ENOENT)
		r = -errno;
	if (r < 0) {
		free(programs);
		return r;
	}
	*ret_programs = programs;
	*ret_n = n;
	return 0;
}

void programs_subtract(struct program_cost *now, size_t n, const struct program_cost *before, size_t n_before)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n_before; k++) {
			if (before[k].id != now[i].id)
				continue;
			now[i].runs -= before[k].runs;
			now[i].ns -= before[k].ns;
		}
	}
}
