/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TLS hellos that came in two segments: the first is kept until the second has come, a few of them at a time.
 */
#pragma once

#include "lb/observe.h"
#include "observe/tls_hello.h"

#define LB_HELLOS_KEPT 64u

struct lb_hellos;

/* 0 or -ENOMEM. */
int lb_hellos_new(struct lb_hellos **ret_hellos);
void lb_hellos_free(struct lb_hellos *hellos);

/*
 * One segment. True: the hello is as whole as it will be, in *ret_hello with what the parser said of it in
 * *ret_result; false: the second segment is waited for. event: of kind LB_OBSERVE_HELLO; data: its bytes.
 */
bool lb_hellos_take(struct lb_hellos *hellos, const struct lb_observe_event *event, const uint8_t *data,
		    struct lb_tls_hello *ret_hello, enum lb_tls_result *ret_result);
