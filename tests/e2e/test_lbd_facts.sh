#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What lbd has made lies where others can reach it: the link on the interface, its pins, the API's socket; and the
# interface's name is anybody's. What somebody takes away is noticed, made good, and told; in the lab's two arms.
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
lbd_config '.api = { "metrics": "127.0.0.1:9777" }' >"$LBD_CONFIG"

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

attached()
{
	answers GET /v1/status '.interfaces[0].attached'
}

link_id()
{
	in_ns lb bpftool -j link show | jq "[.[] | select(.type == \"xdp\" and .ifindex == $(index_of "$1" || echo 0)
		or (.devname // \"\") == \"$1\") | .id][0]"
}

index_of()
{
	in_ns lb ip -j link show "$1" 2>/dev/null | jq '.[0].ifindex'
}

has_program()
{
	in_ns lb ip -j -d link show "$1" | jq -e '.[0].xdp.prog.id // .[0].xdp.attached[0].prog.id' >/dev/null
}

all_pinned()
{
	local i
	for i in lb_control lb_vips lb_rings lb_flows lb_devmap link_eth0; do
		[[ -e $LBD_BPFFS/$i ]] || return 1
	done
}

six_of_six()
{
	local i
	for i in 1 2 3 4 5 6; do fetch >/dev/null || return 1; done
}

repaired()
{
	in_ns lb curl -sf http://127.0.0.1:9777/metrics | grep -qE "^weir_repairs_total\{what=\"$1\"\} [1-9]"
}

act "it starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
check "traffic flows" six_of_six

# --- links and pins -----------------------------------------------------------------------------------------------

in_ns lb bpftool link detach pinned "$LBD_BPFFS/link_eth0"
check "somebody detaches the link: it is attached again" wait_for 5 event_says 'interface=eth0 detached_by=.*action=.*attach again'
check "traffic flows again" wait_for 5 six_of_six
check "status says attached, and it is" has_program eth0
check "lbd is ready" in_ns lb curl -sf http://127.0.0.1:9777/readyz
check "metrics count it" repaired link

rm "$LBD_BPFFS/link_eth0" "$LBD_BPFFS/lb_flows" "$LBD_BPFFS/lb_redirects"
check "pins that somebody removes are made again" wait_for 10 all_pinned
check "which an event tells" event_says 'gone=.*1 of maps, 1 of links, 1 of counters'
check "and metrics count" repaired pin
act "kill -9" lbd_stop KILL
check "traffic outlives lbd" six_of_six
act "it starts again" lbd_start
check "what it adopts is what ran" event_says 'interface=eth0 .*adopted=yes'

rm -r "$LBD_BPFFS"
check "the whole directory is made again" wait_for 10 all_pinned
refuse "it is locked again" "another lbd .*runs the packet path" lbd_once --state-dir "$TEST_TMP/other" --socket "$TEST_TMP/other.sock"
act "kill -9" lbd_stop KILL
check "traffic outlives lbd" six_of_six
act "it starts again" lbd_start

# --- the socket ---------------------------------------------------------------------------------------------------

rm "$LBD_SOCKET"
check "the API's socket is made again" wait_for 10 attached
check "which an event tells" event_says 'socket=.* gone=yes'
check "the API answers on it" answers POST /v1/diff '.applied == false' @"$LBD_CONFIG"
rm "$LBD_SOCKET"
spawn lb socat "UNIX-LISTEN:$LBD_SOCKET,fork" EXEC:true
other=$spawned
check "another server takes the path" wait_for 5 test -S "$LBD_SOCKET"
check "it is left alone, and an event tells" wait_for 5 grep -q "another process serves" "$lbd_log"
kill "$other"
wait_for 5 process_gone "$other"
rm -f "$LBD_SOCKET"
check "when it has gone the API is back" wait_for 10 attached

# --- names --------------------------------------------------------------------------------------------------------

load_start
index=$(index_of eth0)
in_ns lb ip link set eth0 name wan0 || { in_ns lb ip link set eth0 down; in_ns lb ip link set eth0 name wan0; in_ns lb ip link set wan0 up; }
check "the interface is renamed" test "$(index_of wan0)" == "$index"
check "an event tells" wait_for 5 event_says 'interface=eth0 name=wan0 attached=yes'
check "it is attached all the same" attached
check "status warns" answers GET /v1/status '.warnings | any(test("eth0 is called wan0 now"))'
sleep 0.5
load_stop
check "the load was real" test "$load_requests" -gt 5
is "no request failed" "$load_failed" 0
act "kill -9" lbd_stop KILL
act "it starts again under the old configuration" lbd_start
check "the interface is the same to it" event_says 'interface=eth0 .*adopted=yes'
check "traffic flows" six_of_six
load_start
lbd_config '.api = { "metrics": "127.0.0.1:9777" } | .interfaces[0].name = "wan0"' >"$TEST_TMP/wan0.json"
check "a configuration that calls it so breaks nothing, and is applied" answers POST /v1/apply '.applied' @"$TEST_TMP/wan0.json"
check "it is attached under that name" answers GET /v1/status '.interfaces | length == 1 and .[0].name == "wan0" and .[0].attached'
check "there is no warning any more" answers GET /v1/status '.warnings | any(test("called")) | not'
sleep 0.3
load_stop
is "no request failed" "$load_failed" 0
before=$(link_id wan0)
act "it stops" lbd_stop TERM
in_ns lb ip link set wan0 name eth0 || { in_ns lb ip link set wan0 down; in_ns lb ip link set wan0 name eth0; in_ns lb ip link set eth0 up; }
act "renamed while it is dead, it starts as it ran" lbd_start
check "its own program is its own" event_says 'interface=wan0 .*adopted=yes'
check "status warns" wait_for 5 answers GET /v1/status '.warnings | any(test("wan0 is called eth0 now"))'
check "reloading a file that says so changes nothing" answers POST '/v1/apply?allow_break=1' '.applied' @"$LBD_CONFIG"
is "the link is the same" "$(link_id eth0)" "$before"
check "traffic flows" six_of_six
act "it stops" lbd_stop TERM
lbd_once --detach >/dev/null 2>&1
check "lbd --detach takes all off, whatever its name" test ! -e "$LBD_BPFFS"

done_testing
