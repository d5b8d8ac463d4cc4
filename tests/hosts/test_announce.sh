#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 150
# beside: labs
#
# VIPs announced with the real BIRD, as configs/bird/weir.conf has it, to a router that is a BIRD as well:
#
#   client -- router: bird, AS 64513 == BGP, BFD == lb: bird, AS 64512; lbd -> table 177 -- backends
#
# What the router's kernel has is what counts.

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"
# shellcheck source=tests/hosts/announce-lib.sh
. "$TEST_ROOT/tests/hosts/announce-lib.sh"

type bird >/dev/null 2>&1 || {
	not_ok "bird is there: apt install bird2"
	done_testing
}

test_serving()
{
	check "lbd announces the VIP in its table" wait_for 10 in_table
	is "as serving" "$(in_ns lb ip route show table 177 "$LAB_VIP4" | grep -o 'proto [0-9]*')" "proto 201"
	check "IPv6 as well" wait_for 5 test -n "$(in_ns lb ip -6 route show table 177 "$LAB_VIP6")"
	check "the router has it" wait_for 20 router_has
	router_has || bird_diag
	check "requests arrive by it" wait_for 5 requests_arrive
	in_ns lb ip route flush table 177
	check "routes that others remove are put back" wait_for 5 in_table
	check "lbd says so" wait_for 5 grep -q "put back" "$lbd_log"
}

test_empty()
{
	local backend
	for backend in b1 b2 b3; do
		lbctl backend set web "$backend" --state drain --allow-break >/dev/null
	done
	check "a service that is empty and withdraws: gone at the router" wait_for 10 router_has_not
	lbctl backend set web b1 --reset >/dev/null
	check "with one active backend it is back" wait_for 20 router_has
	for backend in b2 b3; do
		lbctl backend set web "$backend" --reset >/dev/null
	done
	check "the other service keeps its VIP" test -n "$(in_ns lb ip -6 route show table 177 "$LAB_VIP6")"
}

# All backends fail their checks: packets go to all (when_all_fail), but the VIP is not announced for that.
test_all_fail()
{
	jq '.services[0].health = { "check": { "kind": "tcp", "port": 9, "interval_ms": 200, "timeout_ms": 200, "fall": 2,
		"fast_interval_ms": 100 } }' "$LBD_CONFIG" >"$TEST_TMP/failing.json"
	check "a service whose checks all fail" lbctl apply -f "$TEST_TMP/failing.json"
	check "is served by all" wait_for 10 all_serve
	check "but withdrawn, as on_empty says" wait_for 5 router_has_not
	check "with its reason" status_says '.announce.vips[] | select(.vip == "'"$LAB_VIP4"'/32" or .vip == "'"$LAB_VIP4"'") | .why' \
		"too few backends are active and resolved"
	check "the other service keeps its VIP" test -n "$(in_ns lb ip -6 route show table 177 "$LAB_VIP6")"
	check "without these checks" lbctl apply -f "$LBD_CONFIG"
	check "it is back" wait_for 20 router_has
}

all_serve()
{
	answers GET /v1/health/web '[.backends[].reason // "" | test("too few backends are left")] | all' &&
		answers GET /v1/services/web '[.backends[].state == "active"] | all'
}

test_crash()
{
	kill -KILL "$lbd_pid"
	wait_for 5 process_gone "$lbd_pid"
	check "a crash of lbd withdraws nothing" in_table
	check "packets flow" requests_arrive
	lbd_start
	check "after the restart it is as it was" in_table
}

test_bird_restarts()
{
	kill -TERM "$bird_pid"
	check "without BIRD nothing is announced" wait_for 10 router_has_not
	bird_start lb "$TEST_ROOT/configs/bird/weir.conf"
	check "a BIRD that comes back learns it" wait_for 20 router_has
}

test_leave()
{
	check "leave" lbctl leave
	check "the router is told that it drains" wait_for 5 router_sees_draining
	check "requests still arrive" requests_arrive
	check "the second table has it, for FRR" test -n "$(in_ns lb ip route show table 178 "$LAB_VIP4")"
	check "leave --wait ends" lbctl leave --wait --seconds 60
	check "gone at the router" wait_for 5 router_has_not
	check "status says that it has left" status_says .announce.fleet left
	kill -TERM "$lbd_pid"
	wait_for 10 process_gone "$lbd_pid"
	lbd_start
	check "having left lasts beyond a restart" status_says .announce.fleet left
	check "nothing is announced then" not_in_table
	check "join" lbctl join
	check "announced again" wait_for 5 in_table
	check "the router has it again" wait_for 20 router_has
}

test_refusals()
{
	lbd_config '.announce.table = 254' >"$TEST_TMP/bad.json"
	refuse "the main table is refused" "table must be a routing table of its own" \
		"$LAB_BUILD/lbctl" validate "$TEST_TMP/bad.json"
	lbd_config '.announce.table = 5 | .announce.draining_table = 5' >"$TEST_TMP/bad.json"
	refuse "one table for both is refused" "another table than announce.table" \
		"$LAB_BUILD/lbctl" validate "$TEST_TMP/bad.json"
	lbd_config 'del(.services[].announce)' >"$TEST_TMP/none.json"
	check "a VIP that is not to be announced any more" lbctl apply -f "$TEST_TMP/none.json"
	check "is withdrawn" wait_for 5 not_in_table
}

lab_start --backends 3
lbd_init
lbd_config '.services[].announce = "route" | .services[0].on_empty = "withdraw" |
	.announce = { "hold_down_s": 1, "drain_s": 3 } | .checker = { "socket": "'"$TEST_TMP"'/checkd.sock", "suspect_window_ms": 500 } | .services[].idle_timeout_s = 1' >"$LBD_CONFIG"
# The router learns the VIPs; what the lab gave it goes.
in_ns router ip route del 203.0.113.0/24
in_ns router ip -6 route del 2001:db8:113::/64
router_bird >"$TEST_TMP/router.conf"
lbd_start || not_ok "lbd starts"
spawn lb "$LAB_BUILD/lb-checkd" --socket "$TEST_TMP/checkd.sock"
bird_start router "$TEST_TMP/router.conf" || not_ok "bird of the router starts"
bird_start lb "$TEST_ROOT/configs/bird/weir.conf" || not_ok "bird of the balancer starts"
bird_pid=$spawned
test_serving
test_empty
test_all_fail
test_crash
test_bird_restarts
test_leave
test_refusals
done_testing
