#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Who says what a backend shall be: the operator's words with who, why and until when, what is recorded of them, and
# what going back does to them.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
LBCTL=("${LBCTL:-$LAB_BUILD/lbctl}" --socket "$LBD_SOCKET")

# backend NAME: its object.
backend()
{
	api GET /v1/services/web | jq -c ".backends[] | select(.name == \"$1\")"
}

# state_is NAME STATE
state_is()
{
	[[ $(backend "$1" | jq -r .state) == "$2" ]]
}

# reasons_are NAME JQ-FILTER
reasons_are()
{
	backend "$1" | jq -e ".reasons | $2" >/dev/null || {
		backend "$1"
		return 1
	}
}

event_is()
{
	answers GET /v1/events ".events | map(.message) | any(test($(jq -n --arg t "$1" '$t')))"
}

patch()
{
	answers PATCH "/v1/services/web/backends/$1" '.applied' "$2"
}

lbd_config >"$LBD_CONFIG"
act "lbd starts" lbd_start
uid=$(id -u)

# --- words --------------------------------------------------------------------------------------------------------

check "nobody says anything" reasons_are b1 '. == []'
check "a backend is drained, with a reason" patch b1 '{"state": "drain", "reason": "disk \"sda\""}'
check "it is known who did it, and why" reasons_are b1 "length == 1 and (.[0] | .origin == \"operator\" and .state == \"drain\"
	and .holds and .uid == $uid and .pid > 1 and .reason == \"disk 'sda'\" and (.since | length == 24) and (has(\"until\") | not))"
check "an event says from what to what, by whom" event_is "service=web backend=b1 key=state from=active to=drain override=set uid=$uid pid=[0-9]+ reason=\"disk 'sda'\""
check "the record says what was set" answers GET /v1/generations ".generations[0] | .kind == \"operator\"
	and (.cause | test(\"^web/b1 state active -> drain by uid $uid pid [0-9]+, .disk 'sda'.\$\"))"
since=$(backend b1 | jq -r '.reasons[0].since')
generation=$(api GET /v1/status | jq .generation)
check "the same again" patch b1 '{"state": "drain"}'
is "is nothing new" "$(backend b1 | jq -r '.reasons[0].since') $(api GET /v1/status | jq .generation)" "$since $generation"
check "the weight is a word of its own" patch b1 '{"weight": 7, "for_s": 3600}'
check "with its own end" reasons_are b1 'length == 2 and (map(select(.weight == 7)) | .[0] | has("until") and .reason == "")'
check "status has them" answers GET /v1/status '.overrides == 2 and (.override_list | length == 2)
	and .override_list[0] == (.override_list[0] | select(.service == "web" and .backend == "b1"))'
check "null takes one back" patch b1 '{"weight": null}'
check "the other stays" reasons_are b1 'length == 1 and .[0].state == "drain"'
check "forced open: it drains" patch b2 '{"breaker": "open"}'
check "as effective state" state_is b2 drain
check "auto takes it back" patch b2 '{"breaker": "auto"}'
check "which leaves nothing" reasons_are b2 '. == []'
for body in '{"state": "drain", "for_s": 0}' '{"state": "drain", "for_s": 1.5}' '{"state": "drain", "for_s": 1e12}' \
	'{"state": "drain", "reason": 7}' '{"state": "drain", "reason": "two\nlines"}' '{"reason": "alone"}' '{"for_s": 5}' \
	'{"breaker": "ajar"}' '{"breaker": 1}' "{\"state\": \"drain\", \"reason\": \"$(printf 'x%.0s' {1..128})\"}" '[]' '{"weight": -1}' \
	$'{"state": "drain", "reason": "\xff\xfe"}'; do
	is "refused: ${body:0:60}" "$(api_status PATCH /v1/services/web/backends/b3 "$body")" 400
done
check "nothing of that was taken" reasons_are b3 '. == []'

# --- words that end -----------------------------------------------------------------------------------------------

check "a drain for two seconds" patch b2 '{"state": "drain", "for_s": 2, "reason": "reboot"}'
check "drains" state_is b2 drain
check "and ends by itself" wait_for 10 state_is b2 active
check "which is an event" event_is "service=web backend=b2 key=state from=drain to=active override=ends"
check "and a record" answers GET /v1/generations '.generations[0].cause == "web/b2 state drain is over"'
check "another, for longer" patch b2 '{"state": "drain", "for_s": 2}'
lbd_stop KILL
sleep_until_over()
{
	sleep 2.5 # the agent is away meanwhile: nothing can be waited for
}
sleep_until_over
act "it is started again after the end" lbd_start
check "the word is over" wait_for 5 state_is b2 active
check "the one without an end is kept, with who and why" reasons_are b1 "length == 1 and .[0].uid == $uid and .[0].reason == \"disk 'sda'\""
is "since it was said" "$(backend b1 | jq -r '.reasons[0].since')" "${since%.*}.000Z"

# --- lbctl --------------------------------------------------------------------------------------------------------

check "lbctl says why and for how long" "${LBCTL[@]}" backend set web b3 --state drain --reason "new kernel" --for 30m
check "lbctl shows it" grep -qE "\* web/b3: drain by operator \(uid $uid, pid [0-9]+\) since .* until .*: new kernel" \
	<("${LBCTL[@]}" backend list web | tr -s ' \n' ' ')
check "so does service show" grep -q "new kernel" <("${LBCTL[@]}" service show web | tr -s ' \n' ' ')
check "and status" grep -q "web/b3 state drain" <("${LBCTL[@]}" status)
check "a reset takes it back" "${LBCTL[@]}" backend set web b3 --reset
check "all of it" reasons_are b3 '. == []'

# --- words on what is gone ----------------------------------------------------------------------------------------

check "b3 is told a weight" patch b3 '{"weight": 3}'
check "b3 goes" answers POST '/v1/apply?allow_break=1' '.applied' "$(lbd_config '.services[0].backends |= .[:2]')"
check "its word goes with it, which is told" event_is 'service=web backend=b3 key=weight from=3 to=gone override=ends'
is "of one that leaves only its death can be said" "$(api_status PATCH /v1/services/web/backends/b3 '{"weight": 1}')" 400
check "it comes back" answers POST /v1/apply '.applied' "$(lbd_config)"
check "as configured" reasons_are b3 '. == []'

# --- history ------------------------------------------------------------------------------------------------------

config=$(api GET /v1/generations | jq '[.generations[] | select(.kind == "config")] | length')
for i in {1..60}; do
	api PATCH /v1/services/web/backends/b3 "{\"weight\": $((100 + i))}" >/dev/null
done
check "sixty words push out no configuration" answers GET /v1/generations \
	"[.generations[] | select(.kind == \"config\")] | length == $config"
check "fifty of them are kept" answers GET /v1/generations '[.generations[] | select(.kind == "operator")] | length == 50'
is "on disk as well" "$(find "$LBD_STATE/generations" -name '*.json' | wc -l)" $((config + 50))

# Three configurations by idle timeout: 501, 502, 503.
timeout()
{
	api GET /v1/services/web | jq .idle_timeout_s
}
for i in 501 502 503; do
	check "a configuration with $i" answers POST /v1/apply '.applied' "$(lbd_config ".services[0].idle_timeout_s = $i")"
done
check "records say what was set" answers GET /v1/generations '.generations[0].cause == "apply: services[web].idle_timeout_s 502 -> 503"'
is "taking a backend down breaks connections, and wants the word" \
	"$(api_status PATCH /v1/services/web/backends/b2 '{"state": "down", "reason": "dead"}')" 409
check "which is told with the plan" answers PATCH /v1/services/web/backends/b2 \
	'.plan | .breaks and (.services[0].why_breaks | test("b2 goes down"))' '{"state": "down"}'
check "nothing is changed" state_is b2 active
check "with it the operator takes b2 down" answers PATCH '/v1/services/web/backends/b2?allow_break=1' '.applied' '{"state": "down", "reason": "dead"}'
check "rollback goes to the configuration before" answers POST '/v1/rollback?allow_break=1' '.applied'
is "which is another one" "$(timeout)" 502
check "and revives nothing" state_is b2 down
check "b1 is told a weight" patch b1 '{"weight": 9}'
check "rollback again goes further back, also after a word" answers POST '/v1/rollback?allow_break=1' '.applied'
is "to the one before that" "$(timeout)" 501
check "what is down stays down" state_is b2 down
first=$(api GET /v1/generations | jq '[.generations[] | select(.cause | startswith("apply"))][2].generation')
check "with its overrides, where that is asked" answers POST "/v1/rollback?to=$first&overrides=1&allow_break=1" '.applied'
check "b2 is up as it was then" state_is b2 active
check "each override that went is told" event_is 'service=web backend=b2 key=state from=down to=active override=ends'
lbd_stop TERM || not_ok "it stops in order"
act "started again" lbd_start
check "rollback knows where it was" answers POST '/v1/rollback?allow_break=1' '.applied'
is "and goes on from there" "$(timeout)" 900
lbd_stop TERM || not_ok "it stops in order"

done_testing
