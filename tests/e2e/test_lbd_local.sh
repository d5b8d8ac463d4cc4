#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A host that balances and serves at once: a backend that is the balancer itself gets its packets from its own stack,
# the VIP unchanged. And addresses of the host that are VIPs, or lie under one. In the lab's two arms.
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
lbd_config '.services[0].backends[2].address = "10.77.0.2" | .services[1].backends[2].address = "fd77::2"' >"$LBD_CONFIG"

# fetched_of VIP: who answers fifty requests; each must be answered.
fetched_of()
{
	local i
	for i in {1..50}; do fetch "$1" || return 1; done | sort -u | paste -sd ' '
}

local_packets()
{
	answers GET /v1/drops ".reasons[] | select(.reason == \"local\") | .action == \"pass\" and .packets > $1"
}

answers_soon()
{
	wait_for 5 answers "$@" || answers "$@"
}

nexthop()
{
	answers GET /v1/services/web ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .nexthop | $2"
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

act "it starts" lbd_start
check "next hops are resolved, its own too" wait_for 10 lbd_resolved
check "it says so" nexthop b3 '.action == "local" and .mac == null'
check "status warns that the host does not have the VIP" answers GET /v1/status \
	'[.warnings[] | select(test("is this host, which does not have"))] | length == 2'
in_ns lb ip address add "$LAB_VIP4/32" dev lo
in_ns lb ip address add "$LAB_VIP6/128" dev lo
check "and no longer when it has" wait_for 5 answers GET /v1/status '.warnings | any(test("does not have")) | not'
cat >"$TEST_TMP/serve" <<-'SERVE'
	#!/bin/bash
	while read -r line && ((${#line} > 1)); do :; done
	printf 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nself\n'
SERVE
chmod +x "$TEST_TMP/serve"
spawn lb socat "TCP6-LISTEN:80,ipv6only=0,fork,reuseaddr" "EXEC:$TEST_TMP/serve"
check "it serves" wait_for 5 listening lb 80
is "all three answer over IPv4" "$(fetched_of "$LAB_VIP4")" "b1 b2 self"
is "and over IPv6" "$(fetched_of "[$LAB_VIP6]")" "b1 b2 self"
check "what the host got is counted as such" local_packets 50
check "and every packet somewhere" answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'
check "explain agrees" answers POST /v1/explain '.agrees' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':80","syn":true}'
in_ns lb ip address del 10.77.0.2/24 dev eth1
in_ns lb ip address add 10.77.0.3/24 dev eth1
check "when the address goes elsewhere it is local no more" wait_for 10 nexthop b3 '.action != "local"'
in_ns lb ip address add 10.77.0.2/24 dev eth1
check "when it is back it is" wait_for 10 nexthop b3 '.action == "local"'

# --- l2 behind a router -------------------------------------------------------------------------------------------

in_ns lb ip route add 10.99.0.0/24 via 10.77.0.11
lbd_config '.services[0].forward = "l2" | .services[0].backends[2].address = "10.99.0.9" | .services |= .[:1]' >"$TEST_TMP/l2.json"
check "l2 to a backend behind a router" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/l2.json"
check "is not resolved, for that reason" wait_for 5 nexthop b3 '.resolved == false and (.why | test("behind a router, which l2"))'
in_ns lb ip route replace 10.99.0.0/24 dev eth1
in_ns lb ip neigh replace 10.99.0.9 lladdr 02:00:00:00:00:09 dev eth1 nud permanent
check "judged again when the route changes" wait_for 5 nexthop b3 '.resolved and .action == "redirect"'
in_ns lb ip route replace 10.99.0.0/24 via 10.77.0.11
check "and again" wait_for 5 nexthop b3 '.resolved == false'

# --- addresses of the host ----------------------------------------------------------------------------------------

lbd_config '.services[0] |= (.vip = "10.76.0.0/24" | .port = 81) | .services |= .[:1]' >"$TEST_TMP/covers.json"
check "a prefix that covers an address of the host is refused, with both" answers POST /v1/apply \
	'.error.path == "services[0].vip" and (.error.message | test("10.76.0.0/24 covers .*10.76.0.2, on eth0.*host_addresses"))' \
	@"$TEST_TMP/covers.json"
jq '.services[0].host_addresses = "pass"' "$TEST_TMP/covers.json" >"$TEST_TMP/said.json"
check "said explicitly, it is taken" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/said.json"
check "without a warning" answers GET /v1/status '.warnings | any(test("address of this host")) | not'
check "packets for the service's other addresses go to it" answers POST /v1/explain '.verdict == "XDP_REDIRECT"' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"10.76.0.99:81","syn":true}'
check "those for the host's go to the host" answers POST /v1/explain '.verdict == "XDP_PASS"' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"10.76.0.2:81","syn":true}'
spawn lb socat TCP-LISTEN:81,bind=10.76.0.2,fork,reuseaddr SYSTEM:'echo host'
host_answers() { test "$(in_ns client socat -T2 - TCP:10.76.0.2:81,connect-timeout=2 </dev/null)" = host; }
check "which answers" wait_for 5 host_answers
check "said no more, it runs on" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/covers.json"
check "with a warning" answers GET /v1/status '.warnings | any(test("10.76.0.0/24 of web covers 10.76.0.2"))'
lbd_config '.services |= .[:1]' >"$LBD_CONFIG"
check "an exact service runs" answers POST '/v1/apply?allow_break=1' '.applied' @"$LBD_CONFIG"
in_ns lb ip address del "$LAB_VIP4/32" dev lo
in_ns lb ip address add "$LAB_VIP4/32" dev eth0
check "when the host gets its address, an event tells" wait_for 5 event_says "203.0.113.10 .*eth0"
check "status warns" answers GET /v1/status '.warnings | any(test("203.0.113.10.*address of this host, on eth0"))'
check "the service runs on" fetch
check "other changes are made" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": 99}'
check "also of the configuration" answers POST /v1/apply '.applied' @<(jq '.services[0].backends[0].weight = 50' "$LBD_CONFIG")
cp "$LBD_CONFIG" "$TEST_TMP/now.json"
act "it stops" lbd_stop TERM
act "it starts again all the same" lbd_start
check "the service runs on" fetch
in_ns lb ip address del "$LAB_VIP4/32" dev eth0
check "when it is gone nothing is to be said" wait_for 5 answers GET /v1/status '.warnings | any(test("address of this host")) | not'

# As keepalived's virtual_ipaddress makes it.
lbd_config '.services |= .[1:]' >"$TEST_TMP/without.json"
check "without the service" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/without.json"
in_ns lb ip address add "$LAB_VIP4/32" dev eth0
check "a VIP that is an address of the host is refused, with the word that allows it" answers_soon POST /v1/apply \
	'.error.path == "services[0].vip" and (.error.message | test("own address, on eth0.*host_addresses.*serve"))' @"$LBD_CONFIG"
jq '.services[0].host_addresses = "serve"' "$LBD_CONFIG" >"$TEST_TMP/serve.json"
check "with that word it is taken" answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/serve.json"
check "without a warning" answers GET /v1/status '.warnings | any(test("address of this host")) | not'
check "the service's port goes to the service" wait_for 5 fetch
vip_host_answers() { test "$(in_ns client socat -T2 - "TCP:$LAB_VIP4:82,connect-timeout=2" </dev/null)" = host; }
spawn lb socat "TCP-LISTEN:82,bind=$LAB_VIP4,fork,reuseaddr" SYSTEM:'echo host'
check "all others to the host" wait_for 5 vip_host_answers
in_ns lb ip address del "$LAB_VIP4/32" dev eth0
check "when another balancer has the address the service runs on" fetch

done_testing
