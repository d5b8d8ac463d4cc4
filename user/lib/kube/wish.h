/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the author of a Service wishes, by annotations of ours. Whoever may write a Service may write these:
 * so they ask for nothing that is another's, and a word that is not understood leaves the Service as it is.
 */
#pragma once

#include "config/config.h"
#include "kube/objects.h"

enum lb_kube_check {
	LB_KUBE_CHECK_PROXY, /* what the node's service proxy says of itself, or of the Service */
	LB_KUBE_CHECK_NONE,
};

/* What holds for Services that wish nothing else. */
struct lb_kube_defaults {
	const char *class;  /* loadBalancerClass that is ours */
	bool default_class; /* Services without a class are ours as well */
	enum lb_forward forward;
	enum lb_announce_by announce;
};

struct lb_kube_wish {
	enum lb_forward forward;
	enum lb_algorithm algorithm;
	enum lb_announce_by announce;
	enum lb_kube_check check;
	__u32 idle_timeout_s;          /* 0: the schema's default */
	__u32 ring_size;               /* 0: not fixed yet */
	char share[LB_KUBE_LABEL_MAX]; /* empty: with nobody */
	char pool[LB_KUBE_LABEL_MAX];  /* empty: any */
	struct lb_address addresses[LB_KUBE_FAMILIES];
	size_t n_addresses;
};

/* Names of the annotations, behind LB_KUBE_PREFIX. */
#define LB_KUBE_RING_SIZE "ring-size" /* written by the leader */

/* 0, or -EINVAL and *error: the annotation, its value, what would be accepted. */
int lb_kube_wish_parse(const struct lb_kube_service *service, const struct lb_kube_defaults *defaults,
		       struct lb_kube_wish *ret_wish, struct lb_error *error);

/* Whether a Service is for us: its type and its class. */
bool lb_kube_is_ours(const struct lb_kube_service *service, const struct lb_kube_defaults *defaults);
