#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Agents on backends, in the words of HAProxy's agent-check: a part of a backend's weight, drain, down; and tiers, of which a
# second one gives what the first lacks.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

lab_start --arm two --backends 3 --ipv4-only
lbd_init
lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } | .services |= .[:1] |
	.health = { "check": { "kind": "agent", "port": 9999, "interval_ms": 300, "timeout_ms": 300, "fall": 2, "fast_interval_ms": 100,
		"down_interval_ms": 200 }, "breaker": { "wait_ms": 100, "ramp_ms": 200 } }' >"$LBD_CONFIG"

# agent BACKEND TEXT: what it says from now on
agent()
{
	printf '%s\n' "$2" >"$TEST_TMP/agent.$1.new"
	mv "$TEST_TMP/agent.$1.new" "$TEST_TMP/agent.$1"
}

# says BACKEND STATE PERMILLE: what is made of it
says()
{
	answers GET "/v1/health/web/$1" ".backends[0] | .says == \"$2\" and .share_permille == $3"
}

# in_force BACKEND STATE
in_force()
{
	answers GET /v1/services/web ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .state == \"$2\""
}

# slots BACKEND FROM TO: its part of the ring is between, in percent
slots()
{
	answers GET /v1/services/web "[.backends[] | select(.leaving | not)] | (map(.slots) | add) as \$all | .[] |
		select(.name == \"$1\") | .slots * 100 / \$all | . >= $2 and . <= $3"
}

for b in b1 b2 b3; do
	agent $b up
	spawn $b socat TCP-LISTEN:9999,fork,reuseaddr "SYSTEM:cat $TEST_TMP/agent.$b"
	wait_for 5 listening $b 9999 || not_ok "the agent of $b listens"
done
act "lbd starts" lbd_start
spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
check "agents are asked, through the packet path" wait_for 10 answers GET /v1/health \
	'[.backends[].check | .last == "ok" and .target == "vip" and .agent == { "drain": false, "weight_percent": 100 }] | all'
agent b1 "ready up 50%"
check "half of its weight is given to who asks for half" wait_for 5 says b1 active 500
check "a fifth of the ring" wait_for 5 slots b1 18 22
check "it is said why" answers GET /v1/health/web/b1 '.backends[0].reason == "its agent says: 50 % of its weight"'
generation=$(api GET /v1/status | jq .generation)
agent b1 "51%"
check "a line that says a little less" wait_for 5 answers GET /v1/health/web/b1 '.backends[0].check.agent.weight_percent == 51'
is "moves nothing" "$(api GET /v1/status | jq .generation)" "$generation"
agent b1 drain
check "who says drain gets no new connections" wait_for 5 in_force b1 drain
check "and its breaker is closed" answers GET /v1/health/web/b1 '.backends[0].breaker.state == "closed"'
agent b1 "0%"
check "nor who asks for nothing" wait_for 5 answers GET /v1/health/web/b1 '.backends[0] | .check.agent.weight_percent == 0 and .says == "drain"'
agent b1 "down#its disk is full"
check "who says down is taken out by its breaker" wait_for 5 answers GET /v1/health/web/b1 '.backends[0].breaker.state == "open"'
check "and drains: it answers" in_force b1 drain
agent b1 up
check "until it says up" wait_for 10 says b1 active 1000
agent b2 "what is this"
check "words that are none are a failure" wait_for 5 answers GET /v1/health/web/b2 '.backends[0] | .breaker.state == "open" and .check.last == "protocol"'
agent b2 up
check "and it comes back" wait_for 10 says b2 active 1000

# --- tiers -------------------------------------------------------------------------------------------------------

lbd_config "$(cat <<'JQ'
.services |= .[:1] | .services[0].backends[2].tier = 1 |
	.health = { "check": { "kind": "agent", "port": 9999, "interval_ms": 300, "timeout_ms": 300, "fall": 2, "fast_interval_ms": 100,
		"down_interval_ms": 200 }, "breaker": { "wait_ms": 100, "ramp_ms": 200, "spill_below_percent": 75 } }
JQ
)" | jq --arg socket "$TEST_TMP/checkd.sock" '.checker = { "socket": $socket }' >"$TEST_TMP/tiers.json"
check "one of the backends becomes the second tier" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/tiers.json"
check "the first serves alone" wait_for 5 in_force b3 drain
check "which is said" answers GET /v1/services/web '.tiers | (.why | test("200 of 200 .*it is enough")) and ([.tiers[].share_permille] == [1000, 0])'
check "and by lbctl" grep -q 'tiers .*0: tier 0 has 200 of 200 of its weight' \
	<(LBCTL_SOCKET=$LBD_SOCKET "$LAB_BUILD/lbctl" service show web)
agent b1 down
check "when half of it is gone the second gives what is missing" wait_for 5 in_force b3 active
check "and no more" wait_for 5 answers GET /v1/services/web '[.tiers.tiers[].share_permille] == [1000, 500]'
check "which is said, too" answers GET /v1/services/web '.tiers.why == "tier 0 has 100 of 200 of its weight, less than 75 %: tier 1 gives what is missing"'
agent b1 up
check "until it is back" wait_for 10 in_force b3 drain
lbd_stop TERM || not_ok "it stops in order"
done_testing
