#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Decapsulation vanishes from one backend of four, whose own address goes on to answer, and which still has the VIP: checks,
# which take the packet path, find it. No connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=20000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

take_decap()
{
	in_ns b4 "$LAB_BUILD/lb-backend" down --state-dir "$LAB_DIR/b4" >/dev/null &&
		in_ns b4 ip address add "$LAB_VIP4/32" dev lo && in_ns b4 ip address add "$LAB_VIP6/128" dev lo nodad
}

give_decap()
{
	in_ns b4 ip address del "$LAB_VIP4/32" dev lo && in_ns b4 ip address del "$LAB_VIP6/128" dev lo &&
		in_ns b4 "$LAB_BUILD/lb-backend" up --vip "$LAB_VIP4" --vip "$LAB_VIP6" --dev eth0 --decap ipip \
			--state-dir "$LAB_DIR/b4" >/dev/null
}

health_begin
loses_packets take_decap give_decap
story_end
