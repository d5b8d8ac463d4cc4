#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Backends are drained and return within seconds, one after the other and two at once: slots move several times
# before they settle, and connections made in each of these moments are old in the next.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

story_begin
story_crowd
story_goes_on
moment=$((${QUICK:-0} ? 80 : 300))
for backend in b1 b2 b3 b4; do
	set_backend $backend --state drain >/dev/null || not_ok "$backend is drained"
	story_client "in_$backend" "$LAB_VIP4" --long 40 # opened while it is drained
	story_goes_on $moment
	set_backend $backend --state active >/dev/null || not_ok "$backend returns"
	story_client "after_$backend" "$LAB_VIP4" --long 40
	story_goes_on $moment
done
check "nothing is broken" unbroken
set_backend b1 --state drain >/dev/null
set_backend b2 --state drain >/dev/null
story_goes_on $moment
set_backend b1 --state active >/dev/null
set_backend b3 --state drain >/dev/null
story_goes_on $moment
set_backend b2 --state active >/dev/null
set_backend b3 --state active >/dev/null
story_goes_on $moment
check "nothing is broken by changes that overlap" unbroken
check "every backend has connections" client_is v4 '[.long.by[]] | length == 4 and all(. > 0)'
story_end
