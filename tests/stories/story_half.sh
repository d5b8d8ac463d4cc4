#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two backends of four are killed at once: both are taken out, the other two carry everything, and no connection of theirs
# breaks. The two come back.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=6000
story_broken='[.long, .udp] | map(.broken - ([.broken_by.b3, .broken_by.b4] | map(. // 0) | add)) | add'
story_opened='[.long, .udp] | map(.opened - ([.broken_by.b3, .broken_by.b4] | map(. // 0) | add)) | add'

health_begin
story_crowd
story_goes_on
held=$(($(held b3) + $(held b4)))
kill -KILL "$(server_of b3)" "$(server_of b4)"
check "checks find both" wait_for 8 health_is b3 open
check "at the same time" wait_for 2 health_is b4 open
check "neither gets new connections" avoided b4
check "nor the other" avoided b3
is "no other connection broke" "$(client v4 .long.broken)" "$held"
check "half of the pool is above the floor" answers GET /v1/health '.services | all(.below_floor | not)'
for b in b3 b4; do spawn $b "$LAB_BUILD/tests/stories/serve" $b "$TRAFFIC_PORT"; done
check "checks find that they are back" wait_for 15 health_is b3 closed
check "both" wait_for 15 health_is b4 closed
check "they get connections" reached b3
story_goes_on
story_end
