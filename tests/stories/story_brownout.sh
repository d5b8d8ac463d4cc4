#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One backend of four becomes slow, which is no failure, and then stops without a word, its connections with it: checks
# find that it does not answer any more, and no connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=20000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

health_begin_http '{ "kind": "http", "port": '$HEALTH_PORT' }'
story_crowd
story_goes_on
says b4 200 0.4
story_goes_on
check "a slow backend is not taken out" health_is b4 closed
check "it gets connections" reached b4
held=$(held b4)
server=$(server_of b4)
kill -STOP "${health_pids[b4]}" "$server"
check "checks find that it has stopped" wait_for 10 health_is b4 open
check "it drains first, and is then given up" wait_for 10 in_force b4 down
check "it gets no new connections" avoided b4
check "its clients are told, none is left hanging" wait_for 15 client_is v4 ".long.broken_by.b4 == $held"
is "no other connection broke" "$(client v4 .long.broken)" "$held"
says b4 200
kill -CONT "${health_pids[b4]}" "$server"
check "checks find that it is back" wait_for 20 health_is b4 closed
check "it gets connections again" reached b4
story_goes_on
story_end
