#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The server of one backend of four dies and comes back, again and again: each time it is kept out for longer, and no
# connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=6000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

opens()
{
	api GET /v1/health/talk/b4 | jq '.backends[0].breaker.opens'
}

# Whether it waits for longer than so many seconds before it is tried again.
waits()
{
	answers GET /v1/health/talk/b4 ".backends[0].breaker | .state == \"open\" and .retry_s > $1"
}

health_begin
story_crowd
story_goes_on
for _ in 1 2 3 4; do
	kill -KILL "$(server_of b4)"
	wait_for 8 health_is b4 open || not_ok "checks find it"
	spawn b4 "$LAB_BUILD/tests/stories/serve" b4 "$TRAFFIC_PORT"
	wait_for 30 health_is b4 half-open || not_ok "it is tried again"
done
kill -KILL "$(server_of b4)"
# 0.5 s at first, twice as long each time, a fifth more or less.
check "the fifth time it is kept out for long" wait_for 8 waits 2.5
check "each time was one opening" test "$(opens)" = 5
spawn b4 "$LAB_BUILD/tests/stories/serve" b4 "$TRAFFIC_PORT"
check "it comes back for good" wait_for 60 health_is b4 closed
check "it gets connections" reached b4
story_goes_on
story_end
