/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of lb-backend and what they share. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "network.h"
#include "program.h"
#include "state.h"

#define STATE_DIR_DEFAULT "/run/weir-backend"

struct options {
	struct address_list vips;
	struct prefix_list from; /* where tunnels may come from; empty: anywhere */
	int list;                /* option that takes what follows without one: --vip A B C */
	const char *device;      /* NULL: not given */
	const char *state_dir;
	enum hook hook;
	enum lb_xdp_mode mode;
	unsigned int formats; /* LB_DECAP_FORMAT_*; 0: no decapsulation */
	__u16 gue_port;       /* host byte order */
	bool decap_only;      /* the host's service proxy knows the VIPs: nothing on lo, no sysctl */
	bool json;
	bool watching; /* tell only what had to be done */
};

/* One of the settings that a DSR backend needs with an IPv4 VIP, for all devices and for its own. */
struct wanted_sysctl {
	const char *key;
	int value;
};
#define WANTED_SYSCTLS 3
extern const struct wanted_sysctl wanted_sysctls[WANTED_SYSCTLS];

/* What a verb works on. */
struct work {
	const struct options *options;
	struct state state;
	struct network network;
	struct lb_error error;
};

/* Verbs: the exit status. */
int verb_up(const struct options *options);
int verb_down(const struct options *options);
int verb_status(const struct options *options);
int verb_watch(const struct options *options);

/* Does what the options say, or says what is so already. 0 or a negative errno and *ret_error. */
int backend_up(const struct options *options, struct lb_error *ret_error);

/* A line to stdout: something that was done. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same of something that is so already: not told while watching. */
void say_same(const struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line to stderr. Returns 1, the exit status. */
int fail(const struct lb_error *error);

int work_begin(struct work *work, const struct options *options, bool create);
void work_end(struct work *work);

/* "ipip", "gue", "ipip,gue" or "none". */
const char *formats_name(unsigned int formats);
const char *place_name(enum hook hook, enum lb_xdp_mode mode);

/* Undoes what was done for a device and forgets it; goes on after errors, returns the first. */
int device_down(struct work *work, struct device_state *device);
/* Detaches every program of ours from the device but the one at this hook and mode (HOOK_NONE: all). */
int programs_detach(struct work *work, struct device_state *device, enum hook hook, enum lb_xdp_mode mode);
/* Removes from lo what is ours and no other device needs. */
int vip_down(struct work *work, const struct device_state *device, const struct lb_address *vip);
/* Brings the program of the device to what the options say. */
int program_up(struct work *work, struct device_state *device);
