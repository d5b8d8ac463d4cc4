/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a tunnelled packet must look like: the outer layers by the RFCs that forward.h names. What varies with
 * the flow (label of an outer IPv6 header, source port of GUE) is read from the packet that came out; that it
 * varies as it should is tested in test_outer.c.
 */
#pragma once

#include <string.h>

#include "rig.h"

#define LAYERS 24

/* How packets reach the backend, whose address ends in 1. */
struct way {
	const char *name; /* of the method in the configuration: "l2", "ipip", "gue" */
	int vip, backend; /* families */
};

#define WAYS(X)                                                                                              \
	X(l2, 4, 4)                                                                                          \
	X(l2, 6, 6)                                                                                          \
	X(ipip, 4, 4)                                                                                        \
	X(ipip, 4, 6)                                                                                        \
	X(ipip, 6, 6)                                                                                        \
	X(gue, 4, 4)                                                                                         \
	X(gue, 4, 6)                                                                                         \
	X(gue, 6, 4)                                                                                         \
	X(gue, 6, 6)

static const struct way all_ways[] = {
#define X(name, vip, backend) { #name, vip, backend },
	WAYS(X)
#undef X
};
#define N_WAYS (sizeof(all_ways) / sizeof(all_ways[0]))

static inline bool way_is_l2(const struct way *way)
{
	return !strcmp(way->name, "l2");
}

static inline bool way_is_gue(const struct way *way)
{
	return !strcmp(way->name, "gue");
}

/* Bytes in front of the inner packet. */
static inline int way_overhead(const struct way *way)
{
	if (way_is_l2(way))
		return 0;
	return (way->backend == 4 ? 20 : 40) + (way_is_gue(way) ? 8 : 0);
}

static inline const char *way_vip(const struct way *way)
{
	return way->vip == 4 ? VIP4 : VIP6;
}

static inline const char *way_client(const struct way *way)
{
	return way->vip == 4 ? CLIENT4 : CLIENT6;
}

static inline const char *way_backend(const struct way *way)
{
	return way->backend == 4 ? "10.0.1.1" : "fd00::1";
}

/* A service with one backend that is reached this way; more: JSON for the service, or NULL. */
static inline void way_service(struct rig *rig, const struct way *way, const char *protocol, const char *more)
{
	char address[64];

	snprintf(address, sizeof(address), "'%s'", way_backend(way));
	rig_services(rig, rig_web(way->name, protocol, way_vip(way), address, more, NULL));
}

/* The IP layer from the client to the VIP, as it comes in. */
static inline struct layer way_ip(const struct way *way)
{
	return way->vip == 4 ? IP4(way_client(way), way_vip(way)) : IP6(way_client(way), way_vip(way));
}

/* Where the IP header of the packet that came out is: behind the Ethernet header and its tags. */
static inline const __u8 *out_ip(const struct rig *rig)
{
	const __u8 *at = rig->last.out.bytes + 12;

	while ((at[0] == 0x81 && at[1] == 0x00) || (at[0] == 0x88 && at[1] == 0xa8))
		at += 4;
	return at + 2;
}

/*
 * Writes the layers that the packet must have on its way, n of which came in: new Ethernet addresses, the tag
 * of the port and not those that it came with, the outer header, and the inner packet with one hop less. tos,
 * hops: of the inner packet.
 */
static inline void way_layers(const struct rig *rig, const struct way *way, const struct layer *in,
			      struct layer to[LAYERS])
{
	const __u8 *ip = out_ip(rig), *udp = ip + (way->backend == 4 ? 20 : 40);
	int n = 0, i = 1;

	to[n++] = ETH_OUT(1);
	if (rig->tag)
		to[n++] = VLAN(rig->tag & 0xffff, .type = rig->tag >> 16);
	while (in[i].kind == LAYER_VLAN)
		i++;
	if (!way_is_l2(way)) {
		if (way->backend == 4)
			to[n++] = IP4(SOURCE4, way_backend(way), .df = 1, .tos = in[i].tos);
		else
			to[n++] = IP6(SOURCE6, way_backend(way), .tos = in[i].tos,
				      .label = (ip[1] & 15) << 16 | ip[2] << 8 | ip[3]);
		if (way->backend == 6 && to[n - 1].label == 0)
			to[n - 1].label = ZERO;
		if (way_is_gue(way))
			to[n++] = UDP(udp[0] << 8 | udp[1], 6080, .check = ZERO);
	}
	to[n] = in[i++];
	if (!way_is_l2(way))
		to[n].ttl = (to[n].ttl ? to[n].ttl : 64) - 1;
	n++;
	do
		to[n++] = in[i];
	while (in[i++].kind != LAYER_END);
}

/* Runs the packet and expects it on its way, tx or redirected (action). */
static inline void expect_way(struct rig *rig, const struct way *way, int action, const struct layer *in,
			      const char *file, int line)
{
	struct layer out[LAYERS];

	rig_run(rig, frame_build(in));
	way_layers(rig, way, in, out);
	if (rig->last.action != action || rig->last.reason)
		printf("# %s %din%d\n", way->name, way->vip, way->backend);
	rig_expect(rig, frame_build(in), action, 0, frame_build(out), file, line);
}
#define EXPECT_WAY(rig, way, action, ...)                                                                    \
	expect_way(rig, way, action, (struct layer[]){ __VA_ARGS__, { .kind = LAYER_END } }, __FILE__,       \
		   __LINE__)
