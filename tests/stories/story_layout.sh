#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A next layout of the maps (include/lb/types.h: a field more, others moved) takes over from a running one while b4
# drains, under 500 long connections and short ones without end, killed at each step of it: until links may go to the new
# maps it is the old layout, whole, from then on the new one. QUICK=1: nobody is killed.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

NOW=$LBD NEXT=$LAB_BUILD/next/lbd

counted()
{
	api GET /v1/services | jq '[.services[].packets] | add'
}

grown()
{
	local now
	now=$(counted)
	((now >= before)) || {
		echo "$now, after $before"
		return 1
	}
	before=$now
}

# The layout that packets are judged by.
layout()
{
	bpftool -j map dump pinned "$LBD_BPFFS/lb_control" | jq '.[0].formatted.value[".data.lb_control"][0].lb_control.layout
		// .[0].formatted.value.layout // empty'
}

# dies STEP: an agent of the next layout is started, and killed there.
dies()
{
	local status=0
	process_gone "$lbd_pid" || lbd_stop TERM || return 1
	LBD=$NEXT
	LBD_CRASH_AT_STEP=$1 lbd_start >"$TEST_TMP/start" || status=1
	LBD=$NOW
	if [[ $status == 0 ]] || ! grep -q "event=crash step=$1" "$lbd_log"; then
		cat "$lbd_log"
		return 1
	fi
	story_goes_on 100
}

story_begin
story_crowd
story_goes_on
before=$(counted)
check "b4 is drained" set_backend b4 --state drain
story_goes_on 300

if ((${QUICK:-0})); then
	lbd_stop TERM || not_ok "it stops"
else
	for step in tables_made tables_held tables_carried; do
		act "killed at $step, the next layout has not begun" dies $step
		act "the agent of this layout goes on" lbd_start
		act "what was counted stays" grown
	done
	check "nobody new goes to b4" avoided b4

	for step in tables_ready tables_linked tables_merged tables_done tables_pinned; do
		act "killed at $step, the next layout is there" dies $step
	done
	lbd_once >"$TEST_TMP/old" 2>&1
	check "an agent of the layout before refuses what is from the future" \
		grep -q "have layout 4 (made by lbd .*), this lbd knows layout 3. Nothing was changed, packets keep flowing. Start the lbd that made them, or give them up: lbd --detach --bpffs $LBD_BPFFS" "$TEST_TMP/old"
	story_goes_on 100
fi
LBD=$NEXT
act "the agent of the next layout goes on" lbd_start
act "what was counted stays" grown
check "no set of maps is left behind" test -z "$(find "$LBD_BPFFS" -mindepth 1 -type d)"
check "b4 drains still" answers GET /v1/services/talk \
	'.backends[] | select(.name == "b4") | .state == "drain" and .slots == 0 and (.slots_base > 0 or .entries > 0)'
check "nobody new goes to b4" avoided b4
check "the next layout can be changed" set_backend b3 --state drain
story_goes_on 300
check "and changed back" set_backend b3 --state active
check "nothing is broken" unbroken
story_end
