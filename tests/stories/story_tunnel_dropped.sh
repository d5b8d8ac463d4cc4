#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A firewall begins to drop tunnels on the way to one backend of four, and nothing else: its own address goes on to answer.
# Checks, which take the packet path, find it. No connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=20000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

# Protocols 4 and 41, in IPv4 (byte 23 of the frame) and IPv6 (byte 20).
drop_tunnels()
{
	in_ns sw tc qdisc add dev b4 clsact &&
		in_ns sw tc filter add dev b4 egress protocol ip prio 1 bpf da \
			bytecode '4,48 0 0 23,21 0 1 4,6 0 0 2,6 0 0 4294967295' &&
		in_ns sw tc filter add dev b4 egress protocol ipv6 prio 2 bpf da \
			bytecode '4,48 0 0 20,21 0 1 41,6 0 0 2,6 0 0 4294967295'
}

pass_tunnels()
{
	in_ns sw tc qdisc del dev b4 clsact
}

health_begin
loses_packets drop_tunnels pass_tunnels
story_end
