/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs cost: the kernel counts runs and time of every BPF program while somebody holds the
 * descriptor of BPF_ENABLE_STATS (Linux 5.8), and stops when that is closed, however its holder ends. Both
 * need CAP_SYS_ADMIN.
 */
#pragma once

#include <stddef.h>

struct program_cost {
	unsigned int id;
	char name[16]; /* as the kernel keeps it: cut to 15 characters */
	unsigned long long runs, ns;
};

/* The descriptor, or -errno. */
int programs_count(void);

/* All programs of ours that are loaded (their names begin with lb_), by id; owned by the caller. 0 or -errno.
 */
int programs_look(struct program_cost **ret_programs, size_t *ret_n);

/* Takes what was counted before from what is counted now. Programs that came in between began at 0. */
void programs_subtract(struct program_cost *now, size_t n, const struct program_cost *before,
		       size_t n_before);
