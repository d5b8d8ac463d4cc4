#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# All backends are killed at once: there is nobody better, so all are served as if they were healthy, and it is said. When they
# are back, new connections are answered, and from then on none breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=6000
# Of connections that were opened after the servers were back: the client is started then.
health_begin
story_client before "$LAB_VIP4" --long "$(longs 100)"
wait_for 20 client_is before "[.long.by[]] | add == $(longs 100)" || not_ok "all long connections are open"
for b in b1 b2 b3 b4; do kill -KILL "$(server_of $b)"; done
check "checks find all of them" wait_for 8 answers GET /v1/health '[.backends[].breaker.state == "open"] | length >= 16 and all'
check "that too few are left is said" wait_for 3 answers GET /v1/events '[.events[].message] | any(test("service=talk usable_weight=0 .*floor"))'
check "all serve as if healthy" wait_for 3 answers GET /v1/services/talk '[.backends[].state == "active"] | all'
client_stop before >/dev/null
story_clients=()
for b in b1 b2 b3 b4; do spawn $b "$LAB_BUILD/tests/stories/serve" $b "$TRAFFIC_PORT"; done
check "they come back" wait_for 15 health_knows
check "and are healthy" wait_for 15 answers GET /v1/health '[.backends[].breaker.state == "closed"] | all'
story_crowd
story_goes_on
check "none breaks from then on" unbroken
story_end
