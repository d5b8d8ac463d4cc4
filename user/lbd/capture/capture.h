/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Captures: while there is one, the interfaces run lb_capture instead of lb_ingress (a link update there, and
 * one back; where an interface is shared, the dispatcher is made anew), and what it records goes to the
 * captures' clients as pcapng. While there is none, there is no
 * trace of it: no program, no map. An agent that dies in a capture leaves lb_capture running, which forwards
 * like lb_ingress; the next agent finds that it is not the program that it wants and replaces it.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "lb/capture.h"
#include "config/config.h"
#include "base/error.h"

struct capture;
struct http_stream;
struct lb_tables;
struct lbd;

/* What a client asks for. */
struct capture_wish {
	struct lb_capture_filter filter; /* by holds what is set, without LB_CAPTURE_ON */
	char service[LB_NAME_MAX];       /* names behind the ids in the filter; empty: any */
	char backend[LB_NAME_MAX];
	char text[320]; /* the wish in words, for events */
	__u64 packets;  /* then it ends; 0: no limit */
	__u64 seconds;  /* the same */
};

/*
 * Parts of a flow, as PROTOCOL:SOURCE[:PORT],DESTINATION[:PORT]: tcp, udp, icmp, any or a number; IPv6
 * addresses with port in brackets; "*" is any address. Adds them to the filter. 0 or -EINVAL.
 */
int capture_parse_flow(const char *text, struct lb_capture_filter *filter, struct lb_error *error);

/*
 * Starts one. *ret_stream is what the client is to be sent. -EBUSY: as many as may be run already; others of
 * the kernel. Packets are not disturbed.
 */
int capture_start(struct lbd *lbd, const struct capture_wish *wish, struct http_stream **ret_stream,
		  struct lb_error *error);

/* Fills what struct lbd has for interfaces.c to ask about captures. */
void capture_init(struct lbd *lbd);

/* How many run. */
size_t capture_count(const struct lbd *lbd);

/* Ends all; their clients get what is there and the statistics. swap: has the interfaces run the ordinary
 * program again; otherwise that is the caller's business. */
void capture_stop_all(struct lbd *lbd, const char *why, bool swap);
