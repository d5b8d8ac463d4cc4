#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One backend of two is killed: the other one carries everything, and no connection of it breaks. The first comes back with
# a small share of the pool, and then has its half again.

# shellcheck disable=SC2317,SC2119,SC2034,SC2016 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=6000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b2 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b2 // 0)) | add'

TRAFFIC_BACKENDS=2
health_begin
story_crowd
story_goes_on
held=$(held b2)
kill -KILL "$(server_of b2)"
check "checks find it" wait_for 6 health_is b2 open
check "it gets no new connections" avoided b2
is "no other connection broke" "$(client v4 .long.broken)" "$held"
check "one of two is above the floor" answers GET /v1/health '.services | all(.below_floor | not)'
spawn b2 "$LAB_BUILD/tests/stories/serve" b2 "$TRAFFIC_PORT"
check "it comes back by and by" wait_for 15 health_is b2 half-open
share()
{
	answers GET /v1/services/talk '[.backends[] | select(.leaving | not)] | (map(.slots) | add) as $all |
		(.[] | select(.name == "b2") | .slots) as $own | $own > 0 and $own < 0.45 * $all'
}
check "with a small share of the pool" wait_for 2 share
check "until it is well" wait_for 15 health_is b2 closed
check "it gets connections" reached b2
story_goes_on
story_end
