#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A fourth backend is added to three by lbctl apply, taken away by lbctl rollback, and added again.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

# Applies what breaks nothing, and would refuse otherwise.
apply()
{
	"$LBCTL" -j apply -f "$1"
}

story_begin 'del(.services[].backends[3])'
traffic_config >"$TEST_TMP/four.json"
story_crowd
story_goes_on
is "b4 has no connection" "$(held b4)" 0
check "it is added" apply "$TEST_TMP/four.json"
check "it gets new connections" reached b4
story_goes_on
is "no long connection has moved" "$(held b4)" 0
check "nothing is broken" unbroken
check "lbctl rollback takes it away" "$LBCTL" -j rollback --yes
check "new connections go elsewhere" avoided b4
check "nothing is broken" unbroken
check "it is added again" apply "$TEST_TMP/four.json"
check "it gets new connections again" reached b4
story_goes_on
story_end
