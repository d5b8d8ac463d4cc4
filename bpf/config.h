/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Load-time constants: set by the agent before the program is loaded, so that the verifier removes what is
 * switched off. A change needs a new load (a link update, never a detach).
 */
#pragma once

#include <linux/types.h>

/* 1 in lb_explain: no counter, sample, stamp, flow or fragment is written. */
#ifndef LB_TRACELESS
#define LB_TRACELESS 0
#endif

/* type, name, default, what it means */
#define LB_CONFIG(type, name, value, help) const volatile type name SEC(".rodata") = value

LB_CONFIG(__u32, lb_counter_stride, 0, "lines per CPU block of lb_counters, as in lb_control");
LB_CONFIG(__u32, lb_flat_slots, 0, "slots in lb_rings where the tables are flat (see maps.h), else 0");
LB_CONFIG(__u32, lb_flat_records, 0, "the same for records in lb_backends");
LB_CONFIG(__u32, lb_flat_counters, 0, "the same for lines in lb_counters, of all CPUs");
LB_CONFIG(__u8, lb_several_interfaces, 0,
	  "1: the program runs on several interfaces, so a record alone does not tell TX from redirect");
LB_CONFIG(__u8, lb_observe_on, 0, "1: packets of sampled flows are shown to the observer (observe.h)");
/* Answers, per second and CPU: all together are to take no more than a hundredth of a core (slow/budget.h).
 */
LB_CONFIG(__u32, lb_echo_rate, 4000, "ICMP echo requests answered");
LB_CONFIG(__u32, lb_error_rate, 8000, "ICMP errors sent");
LB_CONFIG(__u32, lb_reset_rate, 6000, "TCP resets sent");
LB_CONFIG(__u32, lb_neighbor_rate, 10000, "ARP requests and neighbour solicitations for VIPs answered");
LB_CONFIG(__u32, lb_source_rate, 100, "of one of these to one network (IPv4: /24, IPv6: /56)");
