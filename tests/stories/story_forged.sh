#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody forges segments for every long connection there is, from before the first change until after the last: SYNs, SYNs
# with their ACKs, RSTs, FINs, data, with the right addresses and ports and random numbers. A backend is added, one is drained
# and returns, one gets another weight: nothing breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

rate=${FORGE_RATE:-4000}

# The IPv4 ends of the clients' long connections.
victims()
{
	in_ns client ss -Htn4 state established dst "$LAB_VIP4" | awk '{ sub(/:/, " ", $3); print $3 }'
}

forge_start()
{
	victims >"$TEST_TMP/victims"
	spawn router "$(dirname "$0")/forge.py" front "$mac" "$LAB_VIP4" "$TRAFFIC_PORT" "$rate" "$TEST_TMP/victims"
	forger=$spawned forger_output=$spawned_output
}

is_forging()
{
	grep -q '^forging' "$forger_output" && ! process_gone "$forger"
}

story_begin 'del(.services[].backends[3])'
traffic_config >"$TEST_TMP/four.json"
mac=$(in_ns lb ip -j link show eth0 | jq -r '.[0].address')
story_crowd
forge_start
check "somebody forges segments of $(wc -l <"$TEST_TMP/victims") connections" wait_for 10 is_forging
story_goes_on

check "b4 is added" "$LBCTL" -j apply -f "$TEST_TMP/four.json"
check "it gets new connections" reached b4
story_goes_on
is "no long connection has moved to it" "$(held b4)" 0
check "nothing is broken by that" unbroken

before=$(held b1)
check "b1 is drained" set_backend b1 --state drain
story_goes_on
is "its long connections are still there" "$(held b1)" "$before"
check "entries are kept for them" answers GET /v1/status '.flow_table.entries > 0'
check "nothing is broken by that" unbroken
check "b1 returns" set_backend b1 --state active
story_goes_on
check "nothing is broken by that" unbroken

check "b2 gets another weight" set_backend b2 --weight 30
story_goes_on
check "b2 gets its weight again" set_backend b2 --weight 100
story_goes_on
check "nothing is broken by weights" unbroken

check "it was forged all the time" is_forging
kill -TERM "$forger"
check "until now" wait_for 10 process_gone "$forger"
diag "forger: $(tail -n 1 "$forger_output")"
diag "$(api GET /v1/stats | jq -r '.services[] | select(.name == "talk") |
	"talk: syns \(.syns), known \(.known), base \(.base), refused \(.refused)"')"
story_goes_on
story_end
