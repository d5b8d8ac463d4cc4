#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Who is to blame: while the checker's own canary does not answer, no backend is; a backend whose next hop is lost is out of use
# in every service at once, whatever its checks have said so far.

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

lab_start --arm two --backends 3
lbd_init
# Slow checks: what is found within a second is not found by them.
lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock", "canary": "10.77.0.1", "canary_port": 81 } |
	.health = { "check": { "kind": "tcp", "interval_ms": 500, "timeout_ms": 500, "fall": 4, "fast_interval_ms": 500,
		"down_interval_ms": 500 },
		"breaker": { "wait_ms": 200, "ramp_ms": 200 } } |
	.services += [ .services[0] + { "name": "other", "port": 81, "health": { "check": { "port": 80 } } } ]' >"$LBD_CONFIG"

suspicion()
{
	answers GET /v1/health ".checker.suspicion == \"$1\" and .checker.canary.verdict == \"$2\""
}

breaker()
{
	answers GET "/v1/health/web/$1" ".backends[0].breaker.state == \"$2\""
}

# state_is SERVICE BACKEND STATE: what is in force
state_is()
{
	answers GET "/v1/services/$1" ".backends[] | select(.name == \"$2\" and (.leaving | not)) | .state == \"$3\""
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

checked()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok"] | length == 9 and all'
}

act "an agent starts" lbd_start
spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
check "all are asked" wait_for 10 checked
check "and so is the canary, whose refusal is an answer" wait_for 5 suspicion none up

# --- the canary ----------------------------------------------------------------------------------------------------

in_ns router ip route add blackhole 10.77.0.2/32
check "when it is silent, verdicts are frozen" wait_for 5 suspicion frozen down
check "and it is said why" event_says 'checker=frozen cause=.*canary'
kill -TERM "$(<"$LAB_DIR/b1/nginx.pid")"
failed()
{
	answers GET /v1/health/web/b1 '.backends[0].check.outcomes.refused > 6'
}
check "a backend that fails meanwhile" wait_for 10 failed
check "is not taken out" breaker b1 closed
in_ns router ip route del blackhole 10.77.0.2/32
check "when the canary answers again, it is over" wait_for 5 suspicion none up
check "and what still fails is taken out" wait_for 5 breaker b1 open
in_ns b1 nginx -c "$LAB_DIR/b1/nginx.conf" -p "$LAB_DIR/b1" -e "$LAB_DIR/b1/error.log"
check "until it is well" wait_for 15 breaker b1 closed

# --- next hops -------------------------------------------------------------------------------------------------------

in_ns lb ip route add unreachable 10.77.0.13/32
check "a host whose next hop is lost is out of use" wait_for 1 state_is web b3 drain
check "in its other services as well" wait_for 1 state_is other b3 drain
check "it is an event" event_says 'host=10.77.0.13 to=open cause=.*next hop'
check "and the reason" answers GET /v1/health/web/b3 '.backends[0].reason | test("next hop")'
check "its other address is in use" state_is web6 b3 active
in_ns lb ip route del unreachable 10.77.0.13/32
check "and back when it is back" wait_for 10 state_is web b3 active
check "everywhere" wait_for 10 state_is other b3 active
for i in 1 2 3; do in_ns lb ip route add unreachable "$(lab_backend4 $i)/32"; done
check "when no next hop is left all serve as if healthy: there is nobody better" wait_for 5 event_says 'service=web usable_weight=0 of=300 cause=.*floor'
check "none of them is taken out" answers GET /v1/services/web '[.backends[].state] | all(. == "active")'
for i in 1 2 3; do in_ns lb ip route del unreachable "$(lab_backend4 $i)/32"; done
check "and all come back" wait_for 20 answers GET /v1/health '[.backends[] | .breaker.state == "closed" and .check.last == "ok"] | all'
check "the canary's port is none of a service's" answers GET /v1/health '.checker.targets == 7'
lbd_stop TERM || not_ok "it stops in order"
done_testing
