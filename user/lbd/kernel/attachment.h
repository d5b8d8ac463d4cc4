/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How one interface is attached: what was asked for and what is.
 */
#pragma once

#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>

#include "config/config.h"

enum attached_by { ATTACHED_NOT, ATTACHED_LINK, ATTACHED_DISPATCHER };

struct attachment {
	struct lb_config_interface wanted;
	int ifindex; /* that it is attached to; 0: not attached */
	enum attached_by by;
	enum lb_xdp_mode mode;     /* as it is */
	int link_fd;               /* ATTACHED_LINK; -1 */
	char pin[64];              /* of the link, in the directory of the maps; empty: none */
	char former[IF_NAMESIZE];  /* that the configuration called it before a change that is being made */
	char renamed[IF_NAMESIZE]; /* what it is called now, if not as wanted; else empty */
	__u32 program_id;
	__u32 captures; /* ATTACHED_DISPATCHER: id of the capturing program that it runs a copy of; 0: none */
	bool fresh;     /* attached by the last call, not adopted */
	char note[200]; /* for people: why it is not what was asked for; may be empty */
	char error[512]; /* why it is not attached; may be empty */
};
