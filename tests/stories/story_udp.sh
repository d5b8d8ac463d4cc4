#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Streams of UDP requests stay with their server through a drain, a return and a change of weight. UDP has no
# handshake: within the learning window after a move a flow that is not known is taken to be old.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

# No UDP flow begins at a drained backend once the learning window is over. fresh NAME: a client of 60 more flows.
fresh()
{
	story_client "$1" "$LAB_VIP4" --udp 60
	wait_for 20 client_is "$1" '[.udp.by[]] | add == 60'
}

# Nothing is learnt any more: the window of the service is over.
window_over()
{
	local now=${EPOCHREALTIME%.*}
	((now > moved_s + TRAFFIC_LEARNING + 2))
}

story_begin
n=$(longs 300)
story_client v4 "$LAB_VIP4" --udp "$n"
story_client v6 "$LAB_VIP6" --udp "$n"
wait_for 20 client_is v4 "[.udp.by[]] | add == $n" || not_ok "all flows are answered"
before=$(client v4 .udp.by.b4)
check "b4 is drained" set_backend b4 --state drain
moved_s=${EPOCHREALTIME%.*}
story_goes_on
wait_for 20 window_over
act "new flows are answered" fresh during
check "none of them by b4" client_is during '(.udp.by.b4 // 0) == 0'
is "the old flows of b4 are still there" "$(client v4 .udp.by.b4)" "$before"
check "b4 returns" set_backend b4 --state active
moved_s=${EPOCHREALTIME%.*}
story_goes_on
wait_for 20 window_over
act "new flows are answered" fresh after
check "some of them by b4" client_is after '.udp.by.b4 > 0'
check "b2 gets weight 10" set_backend b2 --weight 10
story_goes_on
check "b2 gets weight 100" set_backend b2 --weight 100
story_goes_on
is "the old flows of b4 have never moved" "$(client v4 .udp.by.b4)" "$before"
check "no request was lost" client_is v4 '.udp.requests - .udp.answers <= 300'
story_end
