#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host of one backend of four vanishes without a word: checks are not answered, it drains, and then its flows are given
# up, so that their clients hear from another backend that they are lost. No connection of another backend breaks.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

STALL_MS=20000
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

health_begin
story_crowd
story_goes_on
held=$(held b4)
in_ns sw ip link set b4 down
check "checks find it" wait_for 10 health_is b4 open
check "it drains first, and is then given up" wait_for 10 in_force b4 down
check "it gets no new connections" avoided b4
check "its clients are told, none is left hanging" wait_for 15 client_is v4 ".long.broken_by.b4 == $held"
is "no other connection broke" "$(client v4 .long.broken)" "$held"
in_ns sw ip link set b4 up
check "checks find that it is back" wait_for 20 health_is b4 closed
check "it gets connections" reached b4
story_goes_on
story_end
