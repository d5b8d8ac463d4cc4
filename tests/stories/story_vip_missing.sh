#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The VIP vanishes from one backend of four, whose own address goes on to answer: checks, which take the packet path, find
# it. No connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=20000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

take_vip()
{
	in_ns b4 ip address del "$LAB_VIP4/32" dev lo && in_ns b4 ip address del "$LAB_VIP6/128" dev lo
}

give_vip()
{
	in_ns b4 ip address add "$LAB_VIP4/32" dev lo && in_ns b4 ip address add "$LAB_VIP6/128" dev lo nodad
}

health_begin
loses_packets take_vip give_vip
story_end
