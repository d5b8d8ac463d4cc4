#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A backend is drained under a flood of SYNs from random sources, made at full speed by BPF_PROG_TEST_RUN on the link to
# the balancer. No established connection breaks: the flood evicts nothing. The flood's packets go through the whole
# packet path and are dropped behind the balancer, before the backends' stacks, which are not on trial.
# Counted are long connections and UDP flows; short ones may have to send their SYN again.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

STALL_MS=15000
story_broken='[.long, .udp] | map(.broken) | add'
story_opened='[.long, .udp] | map(.opened) | add'
seconds=$((${QUICK:-0} ? 4 : 8))

# flood_start SECONDS
flood_start()
{
	spawn router nice "$LAB_BUILD/tests/stories/flood" front "$mac" "$LAB_VIP4" $TRAFFIC_PORT "$1"
	flood=$spawned flood_output=$spawned_output
}

flood_end()
{
	wait_for 60 process_gone "$flood"
	diag "flood: $(cat "$flood_output")"
}

syns_grow()
{
	local before
	before=$(api GET /v1/services/talk | jq .syns)
	wait_for 5 answers GET /v1/services/talk ".syns > $before + 100000"
}

sunk()
{
	in_ns sw ethtool -S lb | awk '/rx_queue_[0-9]+_xdp_drops:/ { sum += $2 } END { print sum + 0 }'
}

# What the balancer forwarded of the flood was dropped behind it, but for what overran the ring of the veth there.
forwarded()
{
	local syns own sunk
	# In this order: what is opened meanwhile is in the sum, not in what is taken from it.
	own=$(client v4 '.long.opened + .short.opened')
	syns=$(api GET /v1/services/talk | jq .syns)
	sunk=$(sunk)
	echo "SYNs $syns, of them not of the flood $own, came out $sunk"
	((sunk > (syns - own) / 2 && sunk <= syns - own + 20))
}

story_begin
in_ns sw ip -force link set dev lb xdpdrv object "$LAB_BUILD/bpf/flood_sink.bpf.o" section xdp.frags ||
	not_ok "the sink is attached"
mac=$(in_ns lb ip -j link show eth0 | jq -r '.[0].address')
story_crowd
story_client udp "$LAB_VIP4" --udp "$(longs 100)"
story_goes_on

flood_start $((seconds / 2))
check "the flood goes through the packet path" syns_grow
flood_end
check "while all is settled a flood leaves no entry in the flow table" answers GET /v1/flows '.total == 0'
check "and all is settled" answers GET /v1/status '.unsettled_slots == 0'

flood_start $seconds
syns_grow >/dev/null
before=$(held b4)
check "b4 is drained under the flood" set_backend b4 --state drain
check "the flood goes on" syns_grow
story_goes_on 200
is "its long connections are still there" "$(held b4)" "$before"
check "b4 returns" set_backend b4 --state active
story_goes_on 200
flood_end
check "nothing established is broken" unbroken
diag "$(api GET /v1/stats | jq -r '.services[] | select(.name == "talk") |
	"talk: syns \(.syns), known \(.known), base \(.base), refused \(.refused)"')"
story_goes_on 300
check "what came in of the flood came out behind the balancer" forwarded
diag "$(forwarded)"
story_end
