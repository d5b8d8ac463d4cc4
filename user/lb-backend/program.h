/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decapsulation program on its device. It stays attached when lb-backend ends (attachment by netlink, not
 * by a descriptor), and is found again, with its maps, by the id that the device shows: nothing is pinned.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "lb/decap.h"
#include "state.h"

struct lb_decap_bpf;

struct program {
	struct lb_decap_bpf *skeleton; /* when we loaded it; owned */
	int fd;                        /* these are owned when there is no skeleton */
	int local_fd, vips_fd, counts_fd;
	int from_fd; /* -1: the program is of a version that took tunnels from anywhere */
	__u32 id;
	__u64 tag; /* digest of its instructions */
};
#define PROGRAM_NONE                                                                                         \
	((struct program){ .fd = -1, .local_fd = -1, .vips_fd = -1, .counts_fd = -1, .from_fd = -1 })

/* What a program is loaded for. */
struct program_settings {
	enum hook hook;       /* HOOK_XDP or HOOK_TC */
	unsigned int formats; /* LB_DECAP_FORMAT_* */
	__u16 gue_port;       /* host byte order */
	bool check_from;      /* tunnels come from known prefixes alone */
};
int program_load(const struct program_settings *settings, struct program *ret_program,
		 struct lb_error *error);
/* Opens a loaded program; -ENOENT when the id names no program or one that is not of this kind. */
int program_open(__u32 id, enum hook hook, struct program *ret_program);
void program_close(struct program *program);

/* Makes the maps hold exactly these addresses and prefixes. */
int program_sync(const struct program *program, const struct address_list *local,
		 const struct address_list *vips, const struct prefix_list *from, struct lb_error *error);

/* Id of the program at the device's hook: ours where the priority is ours (tc), any (XDP); 0: none. */
int program_attached(unsigned int index, enum hook hook, enum lb_xdp_mode mode, __u32 *ret_id);
/* Any XDP program in any mode: its id, or 0, and its name (16 bytes at least). */
int program_xdp_owner(unsigned int index, __u32 *ret_id, char name[16]);

/*
 * Attaches; replace is one of ours that is attached at the same hook and mode, or NULL: it changes without a
 * gap. -EBUSY when somebody else is there, -EOPNOTSUPP when the driver cannot. tc: makes the clsact qdisc if
 * need be.
 */
int program_attach(const struct program *program, unsigned int index, enum hook hook, enum lb_xdp_mode mode,
		   const struct program *replace, struct lb_error *error);
/* Detaches this program and no other. */
int program_detach(const struct program *program, unsigned int index, enum hook hook, enum lb_xdp_mode mode);
/* Removes the clsact qdisc with all that is in it: look first. */
int program_clsact_remove(unsigned int index);

/* Sums over the CPUs. */
int program_counts(const struct program *program, __u64 counts[LB_DECAP_OUTCOME_COUNT]);
int program_vip_counts(const struct program *program, const struct lb_address *vip,
		       struct lb_decap_vip *ret_vip);
