#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Limits change while b4 drains: tables of other sizes take over from those that run, larger ones, others, and smaller
# ones, under 500 long connections and short ones without end. Also when the agent is killed at each step of it.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

# limits JSON: the configuration that runs, with these limits, from now on.
limits()
{
	jq ".limits = $1" "$LBD_CONFIG" >"$TEST_TMP/next.json" && mv "$TEST_TMP/next.json" "$LBD_CONFIG"
}

applied()
{
	limits "$1"
	"$LBCTL" -j apply -f "$LBD_CONFIG" >"$TEST_TMP/apply" || {
		cat "$TEST_TMP/apply"
		return 1
	}
}

# sizes FILTER: what is said of the tables as they are.
sizes()
{
	answers GET /v1/status "$1"
}

# What a backend's line has counted must never fall.
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

story_begin
story_crowd
story_goes_on
before=$(counted)
check "b4 is drained" set_backend b4 --state drain
story_goes_on 300
act "more flows fit" applied '{ "flow_entries": 400000 }'
check "the table is larger" sizes '.flow_table.capacity >= 400000'
act "what was counted stays" grown
story_goes_on 300
act "of everything more fits" applied '{ "flow_entries": 100000, "services": 1000, "backends": 5000, "ring_slots": 4194304 }'
act "what was counted stays" grown
story_goes_on 300
act "and less again" applied '{ "flow_entries": 200000, "services": 100, "backends": 1000, "ring_slots": 1048576 }'
act "what was counted stays" grown
story_goes_on 300
check "nothing is broken" unbroken
check "its long connections are still there" answers GET /v1/services/talk \
	'.backends[] | select(.name == "b4") | .slots == 0 and (.slots_base > 0 or .entries > 0)'

steps=(tables_made tables_held tables_carried tables_ready tables_linked tables_merged tables_done tables_pinned)
((${QUICK:-0})) && steps=(tables_held tables_ready tables_merged tables_pinned)
entries=300000 died=0
for step in "${steps[@]}"; do
	entries=$((entries == 300000 ? 700000 : 300000))
	lbd_stop TERM || not_ok "it stops"
	LBD_CRASH_AT_STEP=$step lbd_start >/dev/null
	applied "{ \"flow_entries\": $entries, \"backends\": $((entries / 100)) }" >/dev/null 2>&1
	if wait_for 3 process_gone "$lbd_pid"; then
		died=$((died + 1))
	else
		diag "did not die at $step"
		lbd_stop KILL
	fi
	story_goes_on 60
	lbd_start >/dev/null || not_ok "it comes back after $step"
	sizes ".flow_table.capacity >= $entries and (.warnings | map(select(test(\"limits\"))) == [])" || not_ok "the tables are as wanted after $step"
	grown >"$TEST_TMP/grown" || not_ok "what was counted stays after $step"
	story_goes_on 60
done 2>/dev/null
is "it died at every step" $died ${#steps[@]}
check "no set of maps is left behind" test -z "$(find "$LBD_BPFFS" -mindepth 1 -type d)"
check "nothing is broken" unbroken
story_end
