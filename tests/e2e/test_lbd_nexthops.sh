#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Next hops and interfaces that change while lbd runs, in the lab's two arms (scripts/lab.sh): a backend's MAC, a
# route, a flushed neighbour table, a backend that does not answer, links that go down, go away and come back.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init

mac_of()
{
	in_ns "$1" ip -j link show eth0 | jq -r '.[0].address'
}

# nexthop BACKEND FILTER: true of a backend of service web.
nexthop()
{
	answers GET /v1/services/web ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .nexthop | $2"
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

# --- a host's own address ----------------------------------------------------------------------------------------

lbd_config '.services[0].vip = "10.77.0.2"' >"$LBD_CONFIG"
refuse "a VIP that is the host's own address is refused, with the interface" \
	"10.77.0.2 is this host's own address, on eth1.*services\[0\].vip" lbd_once
lbd_config '.interfaces[0].name = "eth7"' >"$LBD_CONFIG"
act "an interface that is missing at start is waited for" lbd_start
check "status says so" answers GET /v1/status '.interfaces[0].attached == false and (.warnings | any(test("eth7")))'
lbd_config '.interfaces[0].name = "eth8"' >"$TEST_TMP/other.json"
check "an apply that names one that does not exist is refused" answers POST '/v1/apply?allow_break=1' \
	'.error.path == "interfaces[0].name" and .error.value == "\"eth8\""' @"$TEST_TMP/other.json"
lbd_stop TERM || not_ok "it stops in order"
lbd_config >"$LBD_CONFIG"
act "it starts" lbd_start
check "all next hops are resolved" lbd_resolved
check "the kernel keeps the neighbours resolved" test \
	"$(in_ns lb ip -j -4 neigh show dev eth1 | jq '[.[] | select(.managed == null)] | length')" -lt 4

# --- neighbours ---------------------------------------------------------------------------------------------------

# Packets are lost while the world outside is wrong; what counts is that it is put right.
new=02:aa:bb:cc:dd:01
in_ns b1 ip link set eth0 address $new
in_ns b1 ping -c 1 -W 1 10.77.0.2 >/dev/null
check "a new MAC of a backend is followed" wait_for 10 nexthop b1 ".mac == \"$new\""
check "packets reach it" answers POST /v1/explain '.agrees' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':80","syn":true}'
all_three()
{
	local i
	for i in {1..50}; do fetch; done | sort -u | wc -l | grep -qx 3
}
check "all three backends answer" all_three

load_start
in_ns lb ip neigh flush dev eth1
in_ns lb ip -6 neigh flush dev eth1
sleep 0.3
in_ns lb ip neigh flush all
check "after flushes all are resolved" wait_for 5 lbd_resolved
load_stop
check "the load was real" test "$load_requests" -gt 3
is "no request failed when the neighbour table was flushed" "$load_failed" 0

in_ns lb ip neigh replace 10.77.0.12 lladdr 02:00:00:00:00:99 dev eth1 nud permanent
check "an administrator's entry is obeyed" wait_for 5 nexthop b2 '.mac == "02:00:00:00:00:99"'
in_ns lb ip neigh del 10.77.0.12 dev eth1
check "without it the kernel is asked again" wait_for 5 nexthop b2 ".mac == \"$(mac_of b2)\""

# More is said than fits the socket's buffer: the last change of the neighbour is lost, the one before is not.
for i in {1..30}; do
	printf "route add 10.200.$i.%s/32 dev eth1\n" {0..255}
done >"$TEST_TMP/routes"
sed 's/add/del/' "$TEST_TMP/routes" >"$TEST_TMP/no-routes"
kill -STOP "$lbd_pid"
in_ns lb ip neigh replace 10.77.0.12 lladdr 02:00:00:00:00:77 dev eth1 nud permanent
for batch in routes no-routes routes no-routes; do in_ns lb ip -batch "$TEST_TMP/$batch"; done
in_ns lb ip neigh replace 10.77.0.12 lladdr 02:00:00:00:00:88 dev eth1 nud permanent
check "events were lost" in_ns lb awk 'NR > 1 && $9 > 0 { lost = 1 } END { exit !lost }' /proc/net/netlink
kill -CONT "$lbd_pid"
check "what is newest is found out when events were lost" wait_for 10 nexthop b2 '.mac == "02:00:00:00:00:88"'
in_ns lb ip neigh del 10.77.0.12 dev eth1
check "and followed again" wait_for 5 nexthop b2 ".mac == \"$(mac_of b2)\""

in_ns b2 ip link set eth0 arp off
in_ns lb ip neigh del 10.77.0.12 dev eth1
check "a backend that falls silent is not resolved any more" wait_for 10 nexthop b2 \
	'.resolved == false and (.why | test("does not answer"))'
in_ns b2 ip link set eth0 arp on
check "when it is back with the MAC it had, it is" wait_for 20 nexthop b2 ".mac == \"$(mac_of b2)\""

lbd_config '.services[0].backends[2].address = "10.77.0.88"' >"$TEST_TMP/asked.json"
check "a plan is only shown" answers POST /v1/diff '.applied == false' @"$TEST_TMP/asked.json"
check "another change is made" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": 99}'
is "the kernel is not asked for what was only shown" "$(in_ns lb ip neigh show to 10.77.0.88)" ""
lbd_config '.interfaces = [{"name": "eth0", "xdp_mode": "generic", "attach": "exclusive"},
	{"name": "lo", "xdp_mode": "native", "attach": "exclusive"}]' >"$TEST_TMP/refused.json"
check "an interface that refuses makes the change fail" answers POST '/v1/apply?allow_break=1' \
	'.error.message | test("driver of lo only does generic")' @"$TEST_TMP/refused.json"
check "the others are as they were" answers GET /v1/status \
	'.interfaces | length == 1 and .[0].attached and .[0].mode == "native"'

# A veth needs a receive queue for each queue that its peer sends by.
in_ns lb ip link add narrow numrxqueues 1 numtxqueues 1 type veth peer name wide numtxqueues 2 numrxqueues 2
in_ns lb ip link set wide up
in_ns lb ip link set narrow up
for attach in exclusive dispatcher; do
	lbd_config ".interfaces += [{\"name\": \"narrow\", \"xdp_mode\": \"native\", \"attach\": \"$attach\"}]" >"$TEST_TMP/refused.json"
	is "a driver that refuses the interface as it is, $attach, is a 409" "$(api_status POST '/v1/apply?allow_break=1' @"$TEST_TMP/refused.json")" 409
	check "which names the interface" answers POST '/v1/apply?allow_break=1' '.error.message | test("narrow.*No space left")' \
		@"$TEST_TMP/refused.json"
done
lbd_config '.interfaces += [{"name": "lo", "xdp_mode": "native", "attach": "exclusive"}]' >"$TEST_TMP/refused.json"
is "so is one without native XDP" "$(api_status POST '/v1/apply?allow_break=1' @"$TEST_TMP/refused.json")" 409
in_ns lb ip link del narrow

# --- routes -------------------------------------------------------------------------------------------------------

in_ns lb ip route add unreachable 10.99.0.0/24
lbd_config '.services[0].backends[2].address = "10.99.0.9"' >"$TEST_TMP/routed.json"
check "a backend without a route is a warning" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/routed.json"
check "the old address is kept for its old flows" answers GET /v1/services/web \
	'.backends[] | select(.name == "b3" and .leaving) | .nexthop.resolved'
check "it is not resolved" nexthop b3 '.resolved == false and .why == "no route"'
check "status warns" answers GET /v1/status '.warnings | any(test("web/b3 .*10.99.0.9.* is unreachable: no route"))'
check "and an event tells" event_says 'unresolved=1 backends=.web/b3'
in_ns lb ip route replace 10.99.0.0/24 via 10.77.0.13
check "a route that comes resolves it" wait_for 5 nexthop b3 ".resolved and .mac == \"$(mac_of b3)\""
in_ns lb ip route replace 10.99.0.0/24 via 10.77.0.12
check "a route that moves is followed" wait_for 5 nexthop b3 ".resolved and .mac == \"$(mac_of b2)\""
in_ns lb ip route replace 10.99.0.0/24 via 10.77.0.12 mtu 1400
check "its MTU is followed" wait_for 5 nexthop b3 '.mtu == 1400'
lbd_config '.services[0].backends |= [.[2] | .address = "10.99.0.9" | .mtu = 1300]' >"$TEST_TMP/narrow.json"
check "a path that is said to be narrower" answers POST /v1/apply '.applied' @"$TEST_TMP/narrow.json"
check "counts" nexthop b3 '.mtu == 1300 and .mtu_from == "configuration"'
check "in what packets see" answers POST /v1/explain '.steps | any(.max_bytes? == 1280)' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':80","syn":true}'
api POST "/v1/apply?allow_break=1" @"$TEST_TMP/routed.json" >/dev/null
check "and no longer when it is not said" wait_for 5 nexthop b3 '.mtu == 1400 and .mtu_from == "way"'
in_ns lb ip route replace unreachable 10.99.0.0/24
check "an unreachable route is told" wait_for 5 nexthop b3 '.resolved == false'
in_ns lb ip route del unreachable 10.99.0.0/24
api POST '/v1/apply?allow_break=1' @"$LBD_CONFIG" >/dev/null
check "the old address is back" wait_for 5 lbd_resolved

lbd_config '.services[0].backends[2].address = "10.77.0.99"' >"$TEST_TMP/silent.json"
check "a backend that does not answer is a warning" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/silent.json"
check "the reason is its neighbour" nexthop b3 '.resolved == false and (.why | test("does not answer"))'
check "packets for it are dropped for that reason" wait_for 5 answers GET /v1/drops \
	'.reasons[] | select(.reason == "nexthop") | .packets >= 0'
api POST '/v1/apply?allow_break=1' @"$LBD_CONFIG" >/dev/null

# --- links --------------------------------------------------------------------------------------------------------

in_ns lb ip link set eth1 down
check "what a link that is down reached goes another way, or none" wait_for 5 nexthop b1 '.interface != "eth1"'
in_ns lb ip link set eth1 up
in_ns lb ip -6 address replace fd77::2/64 dev eth1 nodad
check "a link that is up again resolves all" wait_for 10 lbd_resolved
check "packets flow" wait_for 5 fetch

in_ns lb ip link del eth0
check "an interface that goes away is told" wait_for 5 answers GET /v1/status '.interfaces[0].attached == false'
# The kernel detaches a program before the interface is gone: whoever looks in between sees the first alone.
check "as an event" wait_for 5 event_says 'interface=eth0 (gone=yes|detached_by)'
check "readiness says so" answers GET /v1/status '.warnings | any(test("not attached to eth0"))'
ip -n "$LAB_PREFIX-router" link add front type veth peer name eth0 netns "$LAB_PREFIX-lb"
in_ns router ip address add 10.76.0.1/24 dev front
in_ns router ip -6 address add fd76::1/64 dev front nodad
in_ns lb ip address add 10.76.0.2/24 dev eth0
in_ns router ethtool -K front tx off >/dev/null
in_ns router ip link set front up
in_ns lb ip link set eth0 up
in_ns router ip route replace 203.0.113.0/24 via 10.76.0.2
check "when it comes back it is attached again" wait_for 5 answers GET /v1/status '.interfaces[0] | .attached and .mode == "native"'
check "packets flow through it" wait_for 5 fetch
in_ns lb ip link set eth0 down
in_ns lb ip link set eth0 name front0
check "a renamed interface is the same, and status says so" wait_for 5 answers GET /v1/status \
	'.interfaces[0].attached and (.warnings | any(test("eth0 is called front0 now")))'
in_ns lb ip link set front0 name eth0
in_ns lb ip link set eth0 up
check "named back nothing is to be said" wait_for 5 answers GET /v1/status \
	'.interfaces[0].attached and (.warnings | any(test("called")) | not)'

# --- generic ------------------------------------------------------------------------------------------------------

lbd_stop TERM || not_ok "it stops in order"
in_ns lb ip link add dumb type dummy 2>/dev/null && in_ns lb ip link set dumb up && {
	lbd_config '.interfaces[0].name = "dumb"' >"$TEST_TMP/generic.json"
	refuse "an interface without native XDP is refused, with what to do" "only does generic XDP.*--generic-ok" \
		lbd_once -c "$TEST_TMP/generic.json" --state-dir "$TEST_TMP/g"
}
lbd_config '.interfaces[0].xdp_mode = "generic"' >"$LBD_CONFIG"
act "generic mode, where asked for" lbd_start
check "is what is attached" answers GET /v1/status '.interfaces[0].mode == "generic"'
in_ns lb ethtool -K eth0 gro on
check "beside GRO it is warned of, with what to type" answers GET /v1/status '.warnings | any(test("ethtool -K eth0 gro off"))'
in_ns lb ethtool -K eth0 gro off
check "and without it is not" answers GET /v1/status '.warnings | any(test("ethtool -K")) | not'
lbd_config '.interfaces[0].attach = "dispatcher"' >"$LBD_CONFIG"
lbd_stop TERM || not_ok "it stops in order"
lbd_once --detach >/dev/null 2>&1
act "it starts with the dispatcher asked for" lbd_start
check "and has it, or says why not" answers GET /v1/status \
	'.interfaces[0] | .attached and (.attach == "dispatcher" or (.attach_note | test("dispatcher refused by the kernel")))'
lbd_stop TERM || not_ok "it stops in order"
in_ns lb ip link set dev eth0 xdp off 2>/dev/null
lbd_once --detach >/dev/null 2>&1
bpftool prog load "$LAB_BUILD/bpf/lb_pass.bpf.o" "$LAB_DIR/bpf/others" type xdp
in_ns lb bpftool net attach xdp pinned "$LAB_DIR/bpf/others" dev eth0
lbd_config >"$LBD_CONFIG"
refuse "an interface with somebody else's program is refused, with its id" \
	"has an XDP program that is not ours \(id [1-9]" lbd_once
check "which is left alone" grep -q prog/xdp <(in_ns lb ip -d link show eth0)

done_testing
