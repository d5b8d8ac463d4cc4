/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health in the configuration. The same keys stand at the top (defaults), in a service and, for checks, in a
 * backend; what is not given is taken from the level above, and at the end from the schema (schema_health.c).
 * A key that was not given holds all ones (numbers), zero (choices) or nothing (texts).
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/address.h"

/* Choices begin at 1: 0 was not given. */
enum lb_check_kind {
	LB_CHECK_NONE = 1,
	LB_CHECK_TCP,
	LB_CHECK_UDP,
	LB_CHECK_HTTP,
	LB_CHECK_HTTPS,
	LB_CHECK_GRPC,
	LB_CHECK_AGENT,
	LB_CHECK_EXEC,
};
enum lb_check_target_kind { LB_CHECK_TARGET_VIP = 1, LB_CHECK_TARGET_ADDRESS };
enum lb_check_scope { LB_CHECK_SCOPE_SERVICE = 1, LB_CHECK_SCOPE_HOST };
enum lb_check_tls { LB_CHECK_TLS_VERIFY = 1, LB_CHECK_TLS_INSECURE };
enum lb_check_version { LB_CHECK_HTTP_1 = 1, LB_CHECK_HTTP_2 };
enum lb_config_passive { LB_PASSIVE_OFF = 1, LB_PASSIVE_CHECK, LB_PASSIVE_EJECT };
enum lb_config_all_fail { LB_ALL_FAIL_ALL = 1, LB_ALL_FAIL_NONE };

#define LB_CHECK_TEXT_MAX 192 /* bytes, with the terminating zero */

struct lb_config_check {
	__u8 kind; /* enum lb_check_kind */
	__u8 scope;
	__u8 tls;
	__u8 http_version;
	__u8 target;               /* enum lb_check_target_kind */
	__u8 forward;              /* enum lb_forward, where the target is the VIP; not a key */
	struct lb_address address; /* family 0: the backend's, or the VIP */
	struct lb_address via;     /* the backend's, where the target is the VIP, else family 0; not a key */
	__u32 port;                /* the service's, if it is one */
	__u32 interval_ms, fast_interval_ms, down_interval_ms, timeout_ms;
	__u32 rise, fall;
	__u16 status_first, status_last;
	char method[16];
	char path[LB_CHECK_TEXT_MAX];
	char host[LB_CHECK_TEXT_MAX]; /* as HTTP and TLS say it */
	char body[LB_CHECK_TEXT_MAX]; /* that the answer has to contain */
	char ca[LB_CHECK_TEXT_MAX];
	char service[LB_CHECK_TEXT_MAX]; /* of grpc */
	char send[LB_CHECK_TEXT_MAX];    /* tcp, udp */
	char expect[LB_CHECK_TEXT_MAX];
	/* Digests of other kinds end before it (lb_config_check_digest()): what is saved under them stays
	 * good. */
	char command[LB_CHECK_TEXT_MAX]; /* of exec */
};

struct lb_config_breaker {
	__u32 rate_percent, window_ms, min_samples;
	struct {
		__u32 timeout, refused, reset, protocol, status; /* percent */
	} weights;
	__u32 wait_ms, wait_max_ms, jitter_percent;
	__u32 first_share_percent, ramp_ms;
	__u32 dead_after_ms;
	__u32 drain_max_ms;
	__u32 slow_start_ms;
	__u32 spill_below_percent, floor_percent, max_ejected_percent;
	__u8 when_all_fail; /* enum lb_config_all_fail */
	__u8 passive;       /* enum lb_config_passive */
};

/* How lbd and lb-checkd work together; the top of the file only. */
struct lb_config_checker {
	char socket[108];
	__u32 suspect_window_ms, freeze_max_ms;
	struct lb_address canary; /* family 0: none */
	__u32 canary_port;
	struct lb_config_mark {
		__u32 value, mask;
	} mark;                     /* of packets that are led through the packet path */
	__u32 table, rule_priority; /* of the routing that does it */
	bool path_mtu;              /* find out how large a packet gets through */
};

/* At the top and in a service. */
struct lb_config_health {
	struct lb_config_check *check;     /* owned; NULL: not given */
	struct lb_config_breaker *breaker; /* owned; NULL: not given */
};
