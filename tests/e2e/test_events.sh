#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Events outlive the agent and say who asked for what; a reader is told what it missed. One arm (scripts/lab.sh).

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=${LBCTL:-$LAB_BUILD/lbctl}

lab_start --arm one --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET
lbd_config >"$LBD_CONFIG"
lbd_start
check "the agent serves" lbd_serves

# says KIND REGEX: an event of that kind says so.
says()
{
	answers GET /v1/events "[.events[] | select(.kind == \"$1\") | .message] | any(test(\"$2\"))"
}
last()
{
	api GET /v1/events | jq .last
}

check "a word by hand is applied" "$LBCTL" backend set web b1 --weight 50 --reason 'a "test"'
check "its event says from what to what, who and why" says override \
	"service=web backend=b1 key=weight from=100 to=50 override=set uid=0 pid=[0-9]+ reason=.a 'test'.$"
check "so does the change's" says override 'generation=[0-9]+ from=[0-9]+ .* uid=0 pid=[0-9]+$'
check "what is applied is" answers POST /v1/apply .applied "$(lbd_config '.services[0].backends[1].weight = 7')"
check "told with who applied it" says apply 'cause=.apply. .* uid=0 pid=[0-9]+$'
echo '{ "version": 1, "services": [ 7 ] }' >"$LBD_CONFIG"
is "a reload that cannot be" "$(api_status POST /v1/reload)" 400
check "is told as key=value, with who" says reload '^changed=no error=.* key=services.* uid=0 pid=[0-9]+$'
kill -HUP "$lbd_pid"
check "and by whom, where it was a signal" wait_for 5 says reload '^changed=no error=.* signal=HUP$'
lbd_config >"$LBD_CONFIG"

# No event is a sentence alone: each begins with a key.
check "every event is key=value" answers GET /v1/events 'all(.events[]; .message | test("^[a-z_]+="))'

before=$(api GET /v1/events | jq -c '.events[-3:]')
id=$(last)
lbd_stop KILL
lbd_start
check "events are there after a kill" answers GET /v1/events ".events | map(select(.id > $id - 3 and .id <= $id)) == $before"
check "and go on from there" answers GET "/v1/events?since=$id" ".missed == 0 and (.ahead | not) and .events[0].id == $id + 1"
check "who asks beyond the last one is told so" answers GET '/v1/events?since=99999' '.ahead and (.events | length) == .last'
lbd_stop
lbd_start
check "events are there after a stop" answers GET "/v1/events?since=$((id - 1))" ".events[0].id == $id"

# More than are kept: a line an event, each change tells several.
spawn lb env LBCTL_SOCKET="$LBD_SOCKET" "$LBCTL" events --follow
follow_pid=$spawned follow_output=$spawned_output
check "somebody follows" wait_for 10 grep -q 'ready\|start' "$follow_output"
kill -STOP "$follow_pid"
from=$(last)
change()
{
	local i text
	for i in $(seq 1 20); do
		text=$(jq -nc --argjson w $((1 + (i + $1) % 90)) '{ weight: $w }')
		api PATCH /v1/services/web/backends/b1 "$text" >/dev/null
		api PATCH /v1/services/web/backends/b2 "$text" >/dev/null
	done
	(($(last) > from + 1500))
}
changes()
{
	local n
	for n in $(seq 1 60); do change $((n * 20)) && return; done
	return 1
}
check "1,500 events happen" changes
kill -CONT "$follow_pid"
check "who followed is told how many were missed" wait_for 10 grep -qE '^[0-9]+ events were missed' "$follow_output"
kill "$follow_pid"
check "their file is bounded" test "$(stat -c %s "$LBD_STATE/events")" -lt $((3 << 20))
check "the log leaves some out and says how many" wait_for 30 grep -q 'event=log kind=override suppressed=[1-9]' "$lbd_log"
lbd_stop

done_testing
