/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of nodes, each kept once however many endpoints lie on it. One goes with its last user.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

struct lb_kube_name;
struct lb_kube_names;

struct lb_kube_names *lb_kube_names_new(void);        /* NULL: out of memory */
void lb_kube_names_free(struct lb_kube_names *names); /* takes NULL; no name may be in use */

/* The name, used once more. NULL: out of memory. */
struct lb_kube_name *lb_kube_name_use(struct lb_kube_names *names, const char *text);
void lb_kube_name_drop(struct lb_kube_names *names, struct lb_kube_name *name); /* takes NULL */

const char *lb_kube_name_text(const struct lb_kube_name *name);
size_t lb_kube_names_count(const struct lb_kube_names *names);

/*
 * A name for the schema (at most LB_NAME_MAX - 1 bytes of letters, digits, '.', '_' and '-') of any name: the
 * same where it fits, else its beginning and a digest of all of it. Every balancer makes the same.
 */
struct lb_kube_short {
	char text[64];
};
void lb_kube_shorten(const char *name, struct lb_kube_short *ret_short);
