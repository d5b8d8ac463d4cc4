#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The weight of one of four backends goes from 100 to 10 and back to 100, first slowly, then quickly, over and over.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

story_begin
story_crowd
story_goes_on
before=$(held b2)
check "b2 gets weight 10" set_backend b2 --weight 10
check "and the share that goes with it" answers GET /v1/services/talk \
	'.backends[] | select(.name == "b2") | .share > 0.02 and .share < 0.05'
story_goes_on
is "its long connections are still there" "$(held b2)" "$before"
check "it gets weight 100 again" set_backend b2 --weight 100
story_goes_on
for _ in 1 2 3 4; do
	set_backend b2 --weight 10 >/dev/null
	story_goes_on 60
	set_backend b2 --weight 100 >/dev/null
	story_goes_on 60
done
is "its long connections are still there after many changes" "$(held b2)" "$before"
check "nothing is broken" unbroken
story_end
