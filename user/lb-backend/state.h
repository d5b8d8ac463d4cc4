/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb-backend has done to this host, so that `down` can undo exactly that: a JSON file in the state
 * directory, written before each act (a crash leaves a list of what may have been done, never less) and
 * replaced atomically.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "base/error.h"

struct address_list {
	struct lb_address *items; /* owned */
	size_t n;
};
bool address_list_has(const struct address_list *list, const struct lb_address *address);
/* Adds unless it is there. 0 or -ENOMEM. */
int address_list_add(struct address_list *list, const struct lb_address *address);
void address_list_remove(struct address_list *list, const struct lb_address *address);
void address_list_done(struct address_list *list);

struct prefix_list {
	struct lb_prefix *items; /* owned */
	size_t n;
};
/* Adds unless it is there. 0 or -ENOMEM. */
int prefix_list_add(struct prefix_list *list, const struct lb_prefix *prefix);
/* The same prefixes in the same order. */
bool prefix_list_same(const struct prefix_list *a, const struct prefix_list *b);
/* Makes one a copy of the other. 0 or -ENOMEM, and then it is as it was. */
int prefix_list_copy(struct prefix_list *list, const struct prefix_list *from);
void prefix_list_done(struct prefix_list *list);

enum hook { HOOK_AUTO, HOOK_XDP, HOOK_TC, HOOK_NONE };
const char *hook_name(enum hook hook);
int hook_parse(const char *name, enum hook *ret_hook);

struct device_state {
	char name[IF_NAMESIZE];
	unsigned int index;
	enum hook hook; /* HOOK_NONE: no program (yet) */
	enum lb_xdp_mode mode;
	unsigned int formats; /* LB_DECAP_FORMAT_* */
	__u16 gue_port;       /* host byte order */
	__u32 program_id;     /* 0: none, or about to be attached */
	bool clsact_added;    /* the clsact qdisc is ours */
	bool decap_only;      /* VIPs are not on lo, and need not be */
	struct address_list vips;
	struct prefix_list from; /* where tunnels may come from; empty: anywhere */
};

struct sysctl_state {
	char device[IF_NAMESIZE]; /* "all" for the global one */
	char key[32];             /* below net.ipv4.conf.DEVICE */
	int previous;             /* what it was before us */
	int value;                /* what we set */
};

struct state {
	char path[512];
	int lock_fd;
	unsigned long namespace;      /* inode of the network namespace */
	struct device_state *devices; /* owned */
	size_t n_devices;
	struct address_list added;    /* VIPs on lo that are ours */
	struct sysctl_state *sysctls; /* owned */
	size_t n_sysctls;
};

/*
 * Opens the state directory (made if create), takes its lock, waiting for another lb-backend to end, and
 * reads what is there. No file is an empty state. 0 or a negative errno and *error: -EINVAL for a file that
 * is not ours to understand, -EXDEV for one of another network namespace, -ENOENT without the directory.
 */
int state_open(const char *directory, bool create, struct state *ret_state, struct lb_error *error);

/* Writes it, or removes the file when there is nothing left to undo. */
int state_save(const struct state *state, struct lb_error *error);
void state_done(struct state *state);

struct device_state *state_device(struct state *state, const char *name);
/* Adds an empty record; pointers to other records become void. NULL: out of memory. */
struct device_state *state_device_add(struct state *state, const char *name);
void state_device_remove(struct state *state, struct device_state *device);
/* Does another device than this one have the VIP? except may be NULL. */
bool state_vip_used(const struct state *state, const struct lb_address *vip,
		    const struct device_state *except);

struct sysctl_state *state_sysctl(struct state *state, const char *device, const char *key);
struct sysctl_state *state_sysctl_add(struct state *state, const char *device, const char *key);
void state_sysctl_remove(struct state *state, struct sysctl_state *sysctl);
