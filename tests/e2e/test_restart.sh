#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The agent is stopped, killed, killed in the middle of changes, started with another file, reloaded, doubled, and
# given another program, while connections of all kinds are open and new ones keep arriving: none breaks. Two arms.
# timeout: 240
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

TRAFFIC_IDLE=4 TRAFFIC_LEARNING=2
lab_start --arm two --backends 3
lbd_init
client_init
serve_start || not_ok "the servers start"
traffic_config >"$LBD_CONFIG"

# Both clients went on asking, for about as long as it takes to answer so many requests each.
go_on()
{
	client_more v4 "$1" && client_more v6 "$1"
}

clients_unbroken()
{
	[[ $(client_broken v4) == "0 of "* && $(client_broken v6) == "0 of "* ]] || {
		cat "${client_outputs[v4]}" "${client_outputs[v6]}"
		return 1
	}
}

# set_state BACKEND STATE: in all services with traffic
set_state()
{
	local service
	for service in $TRAFFIC_TALK; do
		api PATCH "/v1/services/$service/backends/$1" "{\"state\": $2}" | jq -e .applied >/dev/null || return 1
	done
}

# No short connection goes to b3 any more.
short_avoids()
{
	local before after
	before=$(client v4 ".short.by.$1 // 0")
	client_more v4 500 || return 1
	after=$(client v4 ".short.by.$1 // 0")
	((after - before <= 2)) || {
		echo "$((after - before)) new connections to $1"
		return 1
	}
}

settled()
{
	answers GET /v1/status '.unsettled_slots == 0'
}

act "lbd starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
client_start v4 "$LAB_VIP4" --long 60 --short 8 --udp 30 --interval 100 --pause 40
client_start v6 "$LAB_VIP6" --long 60 --short 8 --udp 30 --interval 100 --pause 40
check "connections are there" go_on 1000

# --- settled ---------------------------------------------------------------------------------------------------

act "lbd stops" lbd_stop TERM
check "traffic goes on" go_on 500
act "it starts" lbd_start
act "it is killed" lbd_stop KILL
check "traffic goes on without it" go_on 500
act "it starts after a kill" lbd_start
for _ in 1 2 3 4; do
	lbd_stop KILL
	lbd_start || not_ok "it starts"
done
check "nothing is broken by four kills in a row" clients_unbroken
check "all is settled" settled

# --- with slots on the move -------------------------------------------------------------------------------------

act "b3 is drained" set_state b3 '"drain"'
act "and lbd is killed" lbd_stop KILL
check "traffic goes on" go_on 500
act "it starts amid unsettled slots" lbd_start
check "they are still unsettled" answers GET /v1/status '.unsettled_slots > 0'
check "the drain is in force" short_avoids b3
check "old connections stay" clients_unbroken
act "b3 returns" set_state b3 null
check "b3 gets connections again" client_more v4 500

# Killed at each step of a change that adds a service, removes one, and moves slots of one with traffic. Starting may
# itself be a change that dies at this step: then it did so amid traffic all the same.
steps=(store_written store_renamed config_stored recorded committed)
# shellcheck disable=SC2207
steps+=($(grep -ho 'step([a-z]*, "[a-z_]*")' "$TEST_ROOT"/user/lib/engine/commit.c | grep -o '"[a-z_]*"' | tr -d '"' |
	grep -vxE 'key|seed' | sort -u)) # key and seed: of the first commit alone
died=0 n=0
for step in "${steps[@]}"; do
	lbd_stop KILL
	LBD_CRASH_AT_STEP=$step lbd_start >/dev/null
	traffic_config "(.services[] | select(.name == \"talk\")).backends[1].weight = $((10 + ++n)) |
		(.services[] | select(.name == \"sink6\")).name = \"s$n\"" >"$TEST_TMP/cut.json"
	api POST '/v1/apply?allow_break=1' @"$TEST_TMP/cut.json" >/dev/null
	if wait_for 3 process_gone "$lbd_pid"; then
		died=$((died + 1))
	else
		diag "did not die at $step"
		lbd_stop KILL
	fi
	lbd_start || not_ok "it comes back after a death at $step"
done
is "it died at every step of a change" "$died" "${#steps[@]}"
check "nothing is broken by that" clients_unbroken
check "traffic goes on" go_on 300

# --- files -----------------------------------------------------------------------------------------------------

traffic_config '.services[].backends[0].weight = 30' >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "SIGHUP applies a good file" wait_for 5 answers GET /v1/services/talk \
	'.backends[] | select(.name == "b1") | .weight == 30'
generation=$(api GET /v1/status | jq .generation)
traffic_config '.services[0].backends[0].weight = -1' >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "SIGHUP refuses a bad one" wait_for 5 answers GET /v1/status '.last_error.message | test("weight")'
check "and nothing of it is in force" answers GET /v1/status ".generation == $generation"
check "nothing is broken by reloads" clients_unbroken
lbd_stop TERM
traffic_config '.services[].backends[1].weight = 20 | del(.services[] | select(.name == "iperf"))' >"$LBD_CONFIG"
act "it starts with another file" lbd_start
check "which is in force" answers GET /v1/status '.services == 9'
check "nothing is broken by that" clients_unbroken

# --- a second one, another program ------------------------------------------------------------------------------

refuse "a second lbd refuses to start" 'another lbd \(pid' lbd_once --state-dir "$TEST_TMP/second" --socket "$TEST_TMP/s2"
TRAFFIC_INTERFACES="eth0 eth1"
traffic_config >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a second interface comes, and with it another program" wait_for 5 answers GET /v1/status \
	'[.interfaces[].attached] == [true, true]'
check "traffic goes on" go_on 500
TRAFFIC_INTERFACES=eth0
traffic_config >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "it goes" wait_for 5 answers GET /v1/status '.interfaces | length == 1'
check "traffic goes on after that" go_on 300

check "slots settle under traffic of new connections" wait_for 30 settled
check "over IPv4 nothing was broken" client_stop v4
check "over IPv6 nothing was broken" client_stop v6
diag "IPv4: $(client_broken v4) broken, slowest answer $(client v4 .slowest_ms) ms"
diag "IPv6: $(client_broken v6) broken, slowest answer $(client v6 .slowest_ms) ms"
check "nothing was dropped" answers GET /v1/status '.packets.drop == 0'
conserved eth0
done_testing
