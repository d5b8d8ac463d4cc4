#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One of four backends is drained under 500 long connections and short ones without end. Old connections stay where they
# are, new ones go elsewhere; slots that no old connection uses settle while the others are open.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

story_begin
story_crowd
story_goes_on
before=$(held b4)
check "b4 is drained" set_backend b4 --state drain
check "new connections go elsewhere" avoided b4
story_goes_on
is "its long connections are still there" "$(held b4)" "$before"
check "nothing is broken" unbroken
check "slots without an old connection have settled" wait_for 30 concerned talk "$before"
is "after that its connections are still there" "$(held b4)" "$before"
check "lbctl says which backend still has old connections" answers GET /v1/services/talk \
	'.backends[] | select(.name == "b4") | .slots == 0 and (.slots_base > 0 or .entries > 0)'
story_goes_on
story_end
