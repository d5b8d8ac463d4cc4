#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks and what follows, with the real lb-checkd: a backend that refuses, one that is silent, both coming back; no
# configuration is recorded for it; lb-checkd that is killed or hangs; an agent that is restarted; all that fail.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

lab_start --arm two --backends 3
lbd_init

health_config()
{
	lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } |
		.health = { "check": { "kind": "tcp", "interval_ms": 500, "timeout_ms": 500, "fall": 3, "fast_interval_ms": 100,
			"down_interval_ms": 300 }, "breaker": { "wait_ms": 200, "ramp_ms": 300, "dead_after_ms": 1500 } } |
		'"${1:-.}"
}

checkd_start()
{
	spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
	checkd_pid=$spawned
}

# breaker BACKEND STATE: of service web.
breaker()
{
	answers GET /v1/health/web/"$1" ".backends[0].breaker.state == \"$2\""
}

# state_is BACKEND STATE: what is in force
state_is()
{
	answers GET /v1/services/web ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .state == \"$2\""
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

checked()
{
	answers GET /v1/health '.checker.connected and (.checker.stale | not) and
		([.backends[] | .check.last == "ok"] | length == 6 and all)'
}

# The server at a backend is killed, or is there again.
kill_server()
{
	local pid
	pid=$(<"$LAB_DIR/$1/nginx.pid")
	kill -TERM "$pid"
	wait_for 5 process_gone "$pid"
}

start_server()
{
	in_ns "$1" nginx -c "$LAB_DIR/$1/nginx.conf" -p "$LAB_DIR/$1" -e "$LAB_DIR/$1/error.log"
}

# The backend's answers to the balancer are lost, or not any more.
silence()
{
	in_ns "$1" ip route add blackhole 10.77.0.2/32
}

unsilence()
{
	in_ns "$1" ip route del blackhole 10.77.0.2/32
}

health_config >"$LBD_CONFIG"
act "an agent starts that is to check" lbd_start
check "without lb-checkd backends are as configured, and it is said" answers GET /v1/health \
	'(.checker.connected | not) and ([.backends[].breaker.why] | all(. == "not yet checked (lb-checkd is away): taken to be well"))'
generation=$(api GET /v1/generations | jq '.generations[0].generation')
spawn lb bash -c 'ulimit -n 10; exec "$@"' small "$CHECKD" --socket "$TEST_TMP/checkd.sock"
check "that lb-checkd may have too few descriptors is said before it has" wait_for 5 event_says 'lb-checkd=too-small checks=12 room=5'
check "and shown" answers GET /v1/health '.checker.room | .too_small and .checks_needed == 12 and .ports_needed > 0'
check "in words, too" grep -q 'room for 5 checks at once' <("$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" health)
kill -KILL "$spawned"
{ wait "$spawned"; } 2>/dev/null
checkd_start
check "another one has enough" wait_for 5 answers GET /v1/health '.checker.connected and (.checker.room.too_small | not)'
check "lb-checkd asks all, once for each address" wait_for 10 checked
check "the same check of the same address is made once" answers GET /v1/health '.checker.targets == 6'

# --- refused -----------------------------------------------------------------------------------------------------

kill_server b1
check "a backend that refuses is taken out" wait_for 5 breaker b1 open
check "it drains: its connections are kept" wait_for 2 state_is b1 drain
check "it is said why" answers GET /v1/health/web/b1 '.backends[0] | .reason == "refused, 3 checks in a row" and .says == "drain"'
check "there is an event with cause, from and to" event_says 'service=web backend=b1 from=closed to=open cause=.*refused'
check "the doctor names it, and the way that its check took" grep -qE \
	'^reached: backend b1 of web fails its check through the tunnel: .*refused' \
	<(in_ns lb "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" doctor "$LBD_CONFIG")
check "the other family at the same backend is judged by itself" wait_for 5 event_says 'service=web6 backend=b1 from=closed to=open'
others()
{
	local name
	for _ in {1..20}; do
		name=$(fetch) || return 1
		[[ $name != *b1* ]] || return 1
	done
}
check "new connections go elsewhere" others
start_server b1
check "it comes back by and by" wait_for 10 event_says 'service=web backend=b1 from=open to=half-open'
check "until it has all of its weight" wait_for 10 breaker b1 closed
check "in force as well" wait_for 3 state_is b1 active

# --- silent ------------------------------------------------------------------------------------------------------

silence b2
check "a silent backend drains first" wait_for 5 state_is b2 drain
check "and then its old flows are given up" wait_for 8 state_is b2 down
check "which is an event" event_says 'backend=b2 from=open to=open cause=.*given up'
health_config '.services[0].idle_timeout_s = 901' >"$TEST_TMP/other.json"
check "another configuration" answers POST /v1/apply .applied @"$TEST_TMP/other.json"
check "leaves down whom the check took down" state_is b2 down
check "so does going back to the one before" answers POST /v1/rollback .applied
is "which runs" "$(api GET /v1/services/web | jq .idle_timeout_s)" 900
check "and revives nobody" state_is b2 down
check "nor does it with the overrides of then" answers POST "/v1/rollback?to=$generation&overrides=1" .applied
check "whom checks say no word of" state_is b2 down

# --- whoever is away changes nothing --------------------------------------------------------------------------------

kill -KILL "$checkd_pid"
{ wait "$checkd_pid"; } 2>/dev/null
check "that lb-checkd is gone is said" wait_for 5 answers GET /v1/health '.checker.stale and (.checker.connected | not)'
check "verdicts stay" state_is b2 down
lbd_stop KILL
act "the agent starts again" lbd_start
check "what it knew it still knows" state_is b2 down
check "and that it is of earlier" answers GET /v1/health '.checker.stale'
check "a backend that was well is not down for it" state_is b1 active
checkd_start
check "lb-checkd finds it" wait_for 10 answers GET /v1/health '.checker.connected'
unsilence b2
check "and the backend comes back" wait_for 15 breaker b2 closed
kill -STOP "$checkd_pid"
check "an lb-checkd that hangs is noticed" wait_for 6 answers GET /v1/health '.checker.stale'
kill -CONT "$checkd_pid"
check "and back when it goes on" wait_for 6 checked
check "that nothing was asked meanwhile has taken nobody out" answers GET /v1/health '[.backends[].breaker.state] | all(. == "closed")'

# --- all ---------------------------------------------------------------------------------------------------------

for b in b1 b2 b3; do kill_server $b; done
check "when all fail it is said" wait_for 8 event_says 'service=web usable_weight=0 of=300'
check "and all serve, as if they were healthy" wait_for 3 answers GET /v1/services/web '[.backends[].state] | all(. == "active")'
check "which tiers serve, and why, is said with the service" answers GET /v1/services/web \
	'.tiers | .below_floor and (.why | test("less than 20 %: all serve")) and .tiers[0].share_permille == 1000'
for b in b1 b2 b3; do start_server $b; done
check "they come back" wait_for 15 answers GET /v1/health '[.backends[].breaker.state] | all(. == "closed")'

# --- the operator ------------------------------------------------------------------------------------------------

"$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" backend set web b3 --breaker open >/dev/null || not_ok "a breaker is opened by hand"
check "forced open is a state of its own" breaker b3 forced-open
check "and out of use" state_is b3 drain
"$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" backend set web b3 --breaker off >/dev/null || not_ok "a breaker is switched off"
kill_server b3
check "a disabled breaker is shown" breaker b3 disabled
check "and what checks say beside it" wait_for 5 answers GET /v1/health/web/b3 '.backends[0].check.last == "refused"'
check "which changes nothing" state_is b3 active
start_server b3
"$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" backend set web b3 --breaker auto >/dev/null || not_ok "a breaker is left to itself"
check "and is itself again" wait_for 15 breaker b3 closed
generation=$(api GET /v1/generations | jq '.generations[0].generation')

# --- words -------------------------------------------------------------------------------------------------------

check "nothing of it is recorded" is "generations" "$(api GET /v1/generations | jq '.generations[0].generation')" "$generation"
check "lbctl says it" grep -q 'web *b1 *active *100.0 % *closed' \
	<(LBCTL_SOCKET=$LBD_SOCKET "$LAB_BUILD/lbctl" health web)
kill_server b1
check "a backend is taken out" wait_for 5 breaker b1 open
# Nobody is asked for a long time.
health_config '.health.check.interval_ms = 3600000' >"$TEST_TMP/other.json"
check "another check" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/other.json"
check "is not answered for by the verdict of the one before" breaker b1 closed
check "and it is said what it is taken for" answers GET /v1/health/web/b1 \
	'.backends[0].breaker.why == "not yet checked since its address or its check was changed: taken to be well"'
check "it is in use" state_is b1 active
health_config '.health.check.kind = "none"' >"$TEST_TMP/none.json"
check "checks go with the configuration" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/none.json"
check "and their targets" wait_for 3 answers GET /v1/health '.checker.targets == 0'
lbd_stop TERM || not_ok "it stops in order"
done_testing
