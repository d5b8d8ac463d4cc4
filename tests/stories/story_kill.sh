#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The server of one backend of four is killed, and nobody says so: checks find it, its clients are told by resets and not
# left hanging, no connection of another backend breaks, and when it is back it gets connections again, a few at first.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=6000
# A short connection that was with b4, or on the way to it, has not been answered yet: it has no name.
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

health_begin
story_crowd
story_goes_on
held=$(held b4)
kill -KILL "$(server_of b4)"
check "its clients are told at once" wait_for 5 client_is v4 ".long.broken_by.b4 == $held"
check "checks find it" wait_for 6 health_is b4 open
check "it gets no new connections" avoided b4
is "no other connection broke" "$(client v4 .long.broken)" "$held"
spawn b4 "$LAB_BUILD/tests/stories/serve" b4 "$TRAFFIC_PORT"
check "checks find that it is back" wait_for 15 health_is b4 closed
check "it gets connections" reached b4
check "lb-checkd is killed, again and again" true
for _ in 1 2 3; do
	kill -KILL "$checkd_pid"
	{ wait "$checkd_pid"; } 2>/dev/null
	checkd_start
	story_goes_on 300
done
check "verdicts are right at the end" wait_for 10 health_knows
story_goes_on
story_end
