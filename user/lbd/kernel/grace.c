// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grace periods from user space, by what the kernel lets us have.
 */
#include "lbd/kernel/grace.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lbd/task.h"

/* The kernel ends the update of a map of maps with an RCU grace period, for the sake of just such users. */
static int grace_by_map(struct grace *grace)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	__u32 zero = 0;

	if (grace->inner <= 0)
		grace->inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_grace", 4, 4, 1, NULL);
	if (grace->inner < 0)
		return -errno;
	options.inner_map_fd = grace->inner;
	if (grace->outer <= 0)
		grace->outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "lb_grace", 4, 4, 1, &options);
	if (grace->outer < 0 || bpf_map_update_elem(grace->outer, &zero, &grace->inner, BPF_ANY) < 0)
		return -errno;
	return 0;
}

struct waiting {
	struct grace *grace;
	int r;
};

/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() in the kernel; it is refused with nohz_full and by some
 * sandboxes. */
static void wait_beside(void *context)
{
	struct waiting *waiting = context;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return;
	waiting->r = grace_by_map(waiting->grace);
}

int grace_wait(struct grace *grace)
{
	struct waiting waiting = { .grace = grace };

	task_beside(wait_beside, &waiting);
	return waiting.r;
}

void grace_close(struct grace *grace)
{
	if (grace->outer > 0)
		close(grace->outer);
	if (grace->inner > 0)
		close(grace->inner);
	*grace = (struct grace){};
}
