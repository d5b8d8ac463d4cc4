#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The life of lbd, and every verb of lbctl, with the programs that are built with ASan, UBSan and leak check: nothing is
# lost, used after it was freed, or undefined, with traffic on the way.
# timeout: 240

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

LBD=$LAB_BUILD/san/lbd
LBCTL=$LAB_BUILD/san/lbctl
export ASAN_OPTIONS=detect_leaks=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=98
TRAFFIC_IDLE=3 TRAFFIC_LEARNING=1
lab_start --arm two --backends 3
lbd_init
client_init
serve_start || not_ok "the servers start"
traffic_config >"$LBD_CONFIG"
export LBCTL_SOCKET=$LBD_SOCKET

# Sanitizers end the program with a status of their own. lbctl_says STATUS ARGUMENT...
lbctl_says()
{
	local wanted=$1 status
	shift
	"$LBCTL" "$@"
	status=$?
	[[ $status == "$wanted" ]] || {
		echo "status $status, not $wanted"
		return 1
	}
}

lbd_says()
{
	local wanted=$1 status
	shift
	lbd_once "$@"
	status=$?
	[[ $status == "$wanted" ]] || {
		echo "status $status, not $wanted"
		return 1
	}
}

# Ends lbd in order: leaks are told at its end.
stop_clean()
{
	kill -TERM "$lbd_pid"
	finish "$lbd_pid" 20 && ! grep -E 'Sanitizer|runtime error' "$lbd_log" && return
	cat "$lbd_log"
	return 1
}

cp "$LBD_CONFIG" "$TEST_TMP/same.json"
traffic_config 'del(.services[].backends[2]) | .services[2].backends[0].weight = 7' >"$TEST_TMP/two.json"
traffic_config '.services[0].backends[0].weight = "much"' >"$TEST_TMP/bad.json"
echo '{ "version": 1, "services": [' >"$TEST_TMP/cut.json"

act "lbd starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
client_start v4 "$LAB_VIP4" --long 20 --short 2 --udp 10 --interval 150 --stall 10000
client_start v6 "$LAB_VIP6" --long 20 --short 2 --udp 10 --interval 150 --stall 10000
check "traffic flows" client_more v4 100

check "lbctl status" lbctl_says 0
check "lbctl -j status" lbctl_says 0 -j status
check "lbctl service list" lbctl_says 0 service list
check "lbctl service show" lbctl_says 0 service show talk
check "lbctl backend list" lbctl_says 0 backend list
check "lbctl validate a good file" lbctl_says 0 validate "$LBD_CONFIG"
check "lbctl validate a bad one" lbctl_says 1 validate "$TEST_TMP/bad.json"
check "lbctl validate half a one" lbctl_says 1 validate "$TEST_TMP/cut.json"
check "lbctl diff" lbctl_says 3 diff -f "$TEST_TMP/two.json"
check "lbctl apply --dry-run" lbctl_says 0 apply -f "$TEST_TMP/two.json" --dry-run
check "lbctl apply of a bad file" lbctl_says 1 apply -f "$TEST_TMP/bad.json"
check "lbctl apply" lbctl_says 0 apply -f "$TEST_TMP/two.json" --yes
check "lbctl backend set --weight" lbctl_says 0 backend set talk b1 --weight 50
check "lbctl backend set --state" lbctl_says 0 backend set talk6 b1 --state drain
check "lbctl backend set of none" lbctl_says 1 backend set talk b9 --weight 50
check "traffic goes on amid unsettled slots" client_more v4 100
check "lbctl flows" lbctl_says 0 flows
check "lbctl ring --dump" lbctl_says 0 ring talk --dump
check "lbctl stats --delta" lbctl_says 0 stats --delta --interval 0.2 --count 3
check "lbctl drops" lbctl_says 0 drops
check "lbctl events" lbctl_says 0 events
check "lbctl rollback" lbctl_says 0 rollback --yes
check "lbctl rollback beyond history" lbctl_says 1 rollback --to 4711
check "lbctl version" lbctl_says 0 version
check "lbctl with a wrong verb" lbctl_says 2 statsu
check "metrics" in_ns lb curl -sf -o /dev/null http://127.0.0.1:9650/metrics
check "health" in_ns lb curl -sf -o /dev/null http://127.0.0.1:9650/healthz
cp "$TEST_TMP/bad.json" "$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a bad file is refused" wait_for 5 answers GET /v1/status '.last_error != null'
cp "$TEST_TMP/two.json" "$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a good one applies" wait_for 5 answers GET /v1/services/talk '.backends_active == 2'
check "a second lbd refuses to start, without a leak" lbd_says 1 --socket "$TEST_TMP/s2"
in_ns lb ip neigh flush all
in_ns lb ip link set eth1 down
in_ns lb ip link set eth1 up
check "next hops come back" wait_for 10 lbd_resolved
act "lbd ends without a leak" stop_clean
cp "$TEST_TMP/same.json" "$LBD_CONFIG"
act "it starts again, adopting" lbd_start
check "traffic goes on" client_more v4 100
check "over IPv4 nothing was broken" client_stop v4
check "over IPv6 the link that went down broke nothing" client_stop v6
# What was redirected while the link was down, the driver has dropped.
CONSERVED_LOSS=redirect
conserved
check "lbctl explain" lbctl_says 0 explain tcp 198.51.100.2:4000 "$LAB_VIP4:80" --syn
check "lbctl explain, IPv6 and UDP" lbctl_says 0 explain udp "[2001:db8:51::2]:4000" "[$LAB_VIP6]:7000"
act "lbd ends without a leak after adoption" stop_clean
check "without an agent lbctl fails in order" lbctl_says 1 status
check "lbd --detach" lbd_says 0 --detach
cp "$TEST_TMP/bad.json" "$LBD_CONFIG"
check "a bad file at a first start" lbd_says 1 --state-dir "$TEST_TMP/new"
check "wrong usage" lbd_says 2 --nonsense
done_testing
