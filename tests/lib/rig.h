/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rig for byte-exact tests of the packet path: the real program, loaded, over tables that the real engine
 * fills from a configuration. One packet in, what came of it out.
 *
 *	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
 *	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(10)),
 *		  frame(ETH_OUT(1), IP4(SOURCE4, "10.0.1.1", .df = 1), IP4(CLIENT4, VIP4, .ttl = 63), ...));
 *
 * Every packet runs four times, from the same state: through the program that explains, which must foresee
 * what comes and change nothing, through the loaded program (BPF_PROG_TEST_RUN), through the one that
 * captures, whose record must be right, and through the same sources compiled for the host (tests/host),
 *under ASan. Verdict, bytes, counters, flow table and stamps must agree; and exactly one packet must have
 *been counted, in one place.
 *
 * Relies on root and cmocka. The process gets a network namespace of its own, with a veth pair.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "frame.h"
#include "host.h"
#include "lb/decision.h"
#include "lb/reasons.h"
#include "net/stations.h"
#include "packet_path.h"

#define CLIENT4     "198.51.100.7"
#define CLIENT6     "2001:db8:c::7"
#define VIP4        "203.0.113.10"
#define VIP6        "2001:db8:113::10"
#define SOURCE4     "192.0.2.1"
#define SOURCE6     "2001:db8:ffff::1"
#define RIG_PORT    3   /* slot in the device map that the rig's next hops name */
#define RIG_BUCKETS 64u /* of the flow table */

/* MAC of the next hop of a backend whose address ends in n; ETH of what leaves for it. */
#define MAC_NEXTHOP(n)  "02:00:00:00:be:0" #n
#define ETH_OUT(n, ...) ETH(.from = MAC_LB, .to = MAC_NEXTHOP(n), ##__VA_ARGS__)

/* The last byte of the MAC that the packet left for: n of MAC_NEXTHOP(n), which is that of the backend's
 * address.
 */
#define rig_backend_taken(rig) ((rig)->last.out.bytes[5])

/* What came of a packet. */
struct result {
	int action;  /* XDP_* */
	int reason;  /* enum lb_reason that was counted; 0: forwarded */
	int backend; /* id (counter line) that was counted; -1: none */
	__u64 bytes; /* counted for it */
	__u64 syn, known, base, refused;
	struct frame out;
};

struct rig {
	struct packet_path path;
	struct lb_engine *engine;
	struct lb_nexthop_map nexthops;
	struct lb_engine_hooks hooks;
	struct lb_config *config;
	struct host *host;
	struct rig_capture *capture; /* NULL, as the next, with RIG_PLAIN in the environment */
	struct rig_explain *explain;
	int ifindex, peer_ifindex; /* of the veth pair */

	/* What tests may set before rig_services(). rig_reset() gives the defaults. */
	__u32 tag;                     /* of the port that was plugged last */
	struct lb_nexthop hop;         /* resolved, same_interface, port RIG_PORT, mtu 1500 */
	const char *tunnel_source;     /* JSON object, or NULL */
	const struct lb_address *held; /* the host's own addresses, n_held of them */
	size_t n_held;
	const char *unclaimed; /* JSON member with a comma in front, or NULL; at first: pass */

	/* What tests may set before a packet. */
	size_t linear;       /* as struct host */
	int ingress_ifindex; /* 0: the loopback device */
	int program_fd;      /* of the program to run; -1: the packet path */
	bool alone;          /* run it through that program only */

	struct result last;
};

/* Group set-up and tear-down: *state is the rig. rig_setup_several: loaded for several interfaces;
 * rig_setup_limited: with the rates of answers that there are, without which other tests do. */
int rig_setup(void **state);
int rig_setup_several(void **state);
int rig_setup_limited(void **state);
int rig_teardown(void **state);
/* Test set-up: empty tables, defaults. */
int rig_reset(void **state);

/* Applies a configuration: JSON objects of services, commas between them; ' stands for ". */
void rig_services(struct rig *rig, const char *services);
/* Changes the configuration in place, so that slots become unsettled. */
void rig_change(struct rig *rig, const char *services);
/* Runs the sweeper once at a time of this clock. */
void rig_tick(struct rig *rig, __u64 now_s);

/* A service "web" on VIP4 (or VIP6), port 80, with backends at these addresses ("'10.0.1.1','10.0.1.2'"). */
#define WEB(forward, protocol, ...)  rig_web(#forward, #protocol, VIP4, __VA_ARGS__, NULL)
#define WEB6(forward, protocol, ...) rig_web(#forward, #protocol, VIP6, __VA_ARGS__, NULL)
/* More: pairs of JSON behind the address list, as "'affinity':'source'". Text in a static buffer of eight. */
const char *rig_web(const char *forward, const char *protocol, const char *vip, const char *addresses, ...);

/* Runs one packet; rig->last says what came of it. */
void rig_run(struct rig *rig, const struct frame *in);

/* What would come of a packet, and how (rig->last stays). */
void rig_explain(struct rig *rig, const struct frame *in, struct result *ret,
		 struct lb_decision *ret_decision);

/* Runs and judges. want may be NULL: any bytes. */
#define expect_tx(rig, in, want)       rig_expect(rig, in, XDP_TX, 0, want, __FILE__, __LINE__)
#define expect_redirect(rig, in, want) rig_expect(rig, in, XDP_REDIRECT, 0, want, __FILE__, __LINE__)
#define expect_reply(rig, in, reason, want)                                                                  \
	rig_expect(rig, in, XDP_TX, LB_REPLY_##reason, want, __FILE__, __LINE__)
/* The packet must be unchanged. */
#define expect_pass(rig, in, reason) rig_expect_same(rig, in, XDP_PASS, LB_PASS_##reason, __FILE__, __LINE__)
#define expect_drop(rig, in, reason) rig_expect(rig, in, XDP_DROP, LB_DROP_##reason, NULL, __FILE__, __LINE__)

void rig_expect(struct rig *rig, const struct frame *in, int action, int reason, const struct frame *want,
		const char *file, int line);
void rig_expect_same(struct rig *rig, const struct frame *in, int action, int reason, const char *file,
		     int line);

/* Whose frames are taken (lb_stations_build()); at first those to MAC_LB. */
void rig_stations(struct rig *rig, const struct lb_station *all, size_t n, int only);

/* Plugs an interface into a port of the device map; 0: pulls it out. */
void rig_plug(struct rig *rig, __u32 port, int ifindex);
/* The same for an interface that frames leave by with a VLAN tag, as the rig's next hops do then (lb_port()).
 */
void rig_plug_tagged(struct rig *rig, __u32 port, int ifindex, __u32 tag);

/* The service's VIP entry in the active bank, its ring and records: to break them, or to set slots by hand.
 */
struct lb_vip *rig_vip(struct rig *rig, const char *service);
__u32 *rig_slot(struct rig *rig, const char *service, __u32 number);
void rig_fill_slots(struct rig *rig, const char *service, __u32 slot);
struct lb_backend *rig_backend(struct rig *rig, const char *service, __u32 index);

/* cmocka's tables: one test with rig_reset() before it. */
#define RIG_TEST(function) cmocka_unit_test_setup(function, rig_reset)
#define RIG_MAIN(tests, setup)                                                                               \
	int main(void)                                                                                       \
	{                                                                                                    \
		return cmocka_run_group_tests(tests, setup, rig_teardown);                                   \
	}
