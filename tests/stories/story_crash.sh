#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The agent is killed in the middle of changes, at each step of them in turn, and started again: b4 is drained and
# returns, with a death on the way each time.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

story_begin
story_crowd
story_goes_on
moment=$((${QUICK:-0} ? 60 : 200))
steps=(store_written recorded begin ring bank visible committed)
((${QUICK:-0})) && steps=(recorded ring visible)
state=active died=0
for step in "${steps[@]}"; do
	# To the other state than before, in one of the services.
	[[ $state == active ]] && state=drain || state=active
	lbd_stop TERM || not_ok "it stops"
	LBD_CRASH_AT_STEP=$step lbd_start >/dev/null
	"$LBCTL" -j backend set talk b4 --state $state >/dev/null 2>&1
	if wait_for 3 process_gone "$lbd_pid"; then
		died=$((died + 1))
	else
		diag "did not die at $step"
		lbd_stop KILL
	fi
	story_goes_on $moment
	lbd_start >/dev/null || not_ok "it comes back"
	set_backend b4 --state $state >/dev/null || not_ok "the change can be made"
	story_goes_on $moment
done 2>/dev/null
is "it died at every step" $died ${#steps[@]}
check "nothing is broken" unbroken
story_end
