/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IP in IP (RFC 2003, RFC 2473): 4in4, 4in6, 6in6, 6in4, TCP and UDP, out by the same interface and by
 * another.
 */
#include "rig.h"

static void tcp_4in4(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(10)),
		  frame(ETH_OUT(1), IP4(SOURCE4, "10.0.1.1", .df = 1), IP4(CLIENT4, VIP4, .ttl = 63),
			TCP(4000, 80), DATA(10)));
}

static const struct CMUnitTest tests[] = { RIG_TEST(tcp_4in4) };

RIG_MAIN(tests, rig_setup)
