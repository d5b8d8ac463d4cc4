#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks through the packet path under this kernel: the device, the rules and the program are taken, VIPs are asked at every
# backend over IPv4 and IPv6, and a VIP that is missing is found.

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm two --backends 2
lbd_init

checks_config()
{
	lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } | (.services[].backends |= .[:2]) | 
		.health = { "check": { "kind": "http", "path": "/id", "interval_ms": 4000, "timeout_ms": 4000, "fall": 2, "fast_interval_ms": 2000,
			"down_interval_ms": 2000 }, "breaker": { "wait_ms": 200, "ramp_ms": 500, "dead_after_ms": 0 } }'
}

all_well()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok" and .check.target == "vip" and .check.path == null and
		.check.last_age_s < 10 and .breaker.state == "closed"] | length == 4 and all'
}

checks_config >"$LBD_CONFIG"
act "lbd starts" vm_lbd_start
spawn lb "$LAB_BUILD/lb-checkd" --socket "$TEST_TMP/checkd.sock"
check "every backend is asked at the VIP, and answers" wait_for $PATIENCE all_well
check "by the program" answers GET /v1/health '.checker.path.sent > 4 and .checker.path.refused == 0'
in_ns b1 ip address del "$LAB_VIP4/32" dev lo
check "a VIP that is missing is found" wait_for $PATIENCE answers GET /v1/health/web/b1 '.backends[0].breaker.state == "open"'
check "the other family is well" answers GET /v1/health/web6/b1 '.backends[0].breaker.state == "closed"'
in_ns b1 ip address add "$LAB_VIP4/32" dev lo
check "and that it is back" wait_for $PATIENCE all_well
vm_lbd_stop TERM
is "nothing is left of it" "$(in_ns lb ip rule | grep -c 'lookup 179') $(in_ns lb ip link | grep -c weir-check)" "0 0"
done_testing
