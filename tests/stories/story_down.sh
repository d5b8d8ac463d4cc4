#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A backend fails and is set down: its connections break, as they must, and no other one does.
# The clients notice each of them: these stories can fail. Counted are connections of the other backends.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

STALL_MS=6000
# A short connection that was with b4, or on the way to it, has not been answered yet: it has no name.
story_broken='[.long, .udp] | map(.broken - (.broken_by.b4 // 0)) | add'
story_opened='[.long, .udp] | map(.opened - (.broken_by.b4 // 0)) | add'

story_begin
story_crowd
story_client udp "$LAB_VIP4" --udp "$(longs 100)"
story_goes_on
held=$(held b4)
check "b4 is set down" set_backend b4 --state down --allow-break
check "all of its long connections break" wait_for 30 client_is v4 ".long.broken_by.b4 == $held"
is "and no other" "$(client v4 .long.broken)" "$held"
check "new connections go elsewhere" avoided b4
check "no slot is kept for a dead backend" answers GET /v1/services/talk \
	'.backends[] | select(.name == "b4") | .slots == 0 and .slots_base == 0 and .entries == 0'
check "b4 is up again" set_backend b4 --state active
check "and gets connections" reached b4
story_goes_on
story_end
