/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dispatcher for libxdp with places that may change packets, as kernels from 6.13 on (and 6.12 by a stable
 * update) demand of what a program that changes packets takes the place of. libxdp's own has them since 2025;
 * this is for older ones, which find it through LIBXDP_OBJECT_PATH (user/lbd/kernel/attach_dispatcher.c).
 * Names, order and types are libxdp's protocol: its version 2, <xdp/prog_dispatcher.h>.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/prog_dispatcher.h>

/* The only constant: libxdp writes the whole of .rodata. */
static const volatile struct xdp_dispatcher_config config = {};

/* A place for a program: what stands here is replaced. The compiler must not know the verdict, and the
 * verifier must find a call that may move the packet. */
#define SLOT(name)                                                                                           \
	int name(struct xdp_md *ctx);                                                                        \
	__attribute__((noinline)) int name(struct xdp_md *ctx)                                               \
	{                                                                                                    \
		volatile int verdict = XDP_DISPATCHER_RETVAL;                                                \
                                                                                                             \
		if (!ctx || bpf_xdp_adjust_head(ctx, 0))                                                     \
			return XDP_ABORTED;                                                                  \
		return verdict;                                                                              \
	}

/* One step of the chain. */
#define RUN(number)                                                                                          \
	if (config.num_progs_enabled <= number)                                                              \
		return XDP_PASS;                                                                             \
	verdict = prog##number(ctx);                                                                         \
	if (!(config.chain_call_actions[number] & 1u << verdict))                                            \
		return verdict;

SLOT(prog0)
SLOT(prog1)
SLOT(prog2)
SLOT(prog3)
SLOT(prog4)
SLOT(prog5)
SLOT(prog6)
SLOT(prog7)
SLOT(prog8)
SLOT(prog9)
SLOT(compat_test) /* where libxdp tries whether the kernel can replace functions at all */

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	int verdict;

	RUN(0)
	RUN(1)
	RUN(2)
	RUN(3)
	RUN(4)
	RUN(5)
	RUN(6)
	RUN(7)
	RUN(8)
	RUN(9)
	if (config.num_progs_enabled > MAX_DISPATCHER_ACTIONS)
		return compat_test(ctx);
	return XDP_PASS;
}

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
__uint(dispatcher_version, XDP_DISPATCHER_VERSION) SEC(XDP_METADATA_SECTION);
