#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real programs through the balancer: nginx and curl, iperf3 in both directions, requests over UDP; IPv4 and IPv6; one arm
# and two; ipip, l2 and gue. And what is not for a service reaches the balancer itself.
# timeout: 300
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

# All backends answer on a service of nginx. everybody VIP
everybody()
{
	local seen
	seen=$(in_ns client curl -s -H 'Connection: close' --max-time 5 "http://$1/id?[1-60]" | sort -u | paste -sd ' ')
	[[ $seen == "b1 b2 b3" ]] || {
		echo "answered: $seen"
		return 1
	}
}

# download URL: a file of 64 MiB, straight from the backend
download()
{
	[[ $(in_ns client curl -sf --max-time 60 "$1" | sha256sum) == "$LAB_BIG_SHA256  -" ]]
}

# iperf3 for two seconds: up is through the balancer, down (-R) comes back straight. A control connection and a data
# connection must meet at one backend: hence source affinity. iperf VIP [-R]
iperf()
{
	local vip=$1
	shift
	in_ns client iperf3 -J -c "$vip" -t 2 --connect-timeout 3000 "$@" >"$TEST_TMP/iperf" &&
		jq -e '.end.sum_received.bits_per_second > 1e7' "$TEST_TMP/iperf"
}

speed()
{
	jq -r '"\(.end.sum_received.bits_per_second / 1e6 | floor) Mbit/s"' "$TEST_TMP/iperf"
}

talk()
{
	client_start "$1" "$2" --long 30 --short 5 --udp 30 --interval 100 --pause 50
	client_more "$1" 1500 && client_stop "$1"
}

# What a service never sees. own_traffic ROUTER_DEV IPV4 IPV6
own_traffic()
{
	check "the balancer answers ping" in_ns router ping -c 2 -i 0.2 -W 2 "$2"
	check "over IPv6 as well" in_ns router ping -c 2 -i 0.2 -W 2 "$3"
	in_ns router ip neigh flush dev "$1"
	check "ARP works" in_ns router ping -c 1 -W 2 "$2"
	check "ND works" in_ns router ping -c 1 -W 2 "$3"
	spawn lb socat TCP6-LISTEN:22,ipv6only=0,fork,reuseaddr EXEC:cat
	wait_for 5 listening lb 22
	check "TCP to the balancer itself works" test "$(echo hello | in_ns client socat -t 2 - "TCP4:$2:22")" = hello
	check "over IPv6 as well" test "$(echo hello | in_ns client socat -t 2 - "TCP6:[$3]:22")" = hello
	check "it was passed, not forwarded" answers GET /v1/status '.packets.pass > 20'
}

# One lab, one method: everything. play ARM METHOD DECAP
play()
{
	local i
	diag "--- $1-arm lab, $2"
	TRAFFIC_FORWARD=$2
	lab_start --arm "$1" --backends 3 --decap "$3"
	lbd_init
	client_init
	traffic_config '(.services[] | select(.name | startswith("iperf"))).affinity = "source"' >"$LBD_CONFIG"
	serve_start || not_ok "the servers start"
	for i in 1 2 3; do
		spawn "b$i" iperf3 -s
		wait_for 5 listening "b$i" 5201
	done
	act "lbd starts" lbd_start
	check "next hops are resolved" wait_for 10 lbd_resolved
	check "every backend answers over IPv4" everybody "$LAB_VIP4"
	check "every backend answers over IPv6" everybody "[$LAB_VIP6]"
	check "a big file comes whole over IPv4" download "http://$LAB_VIP4/big"
	check "a big file comes whole over IPv6" download "http://[$LAB_VIP6]/big"
	check "a file goes up over IPv4" upload "$LAB_VIP4"
	check "a file goes up over IPv6" upload "[$LAB_VIP6]"
	check "iperf3 up over IPv4" iperf "$LAB_VIP4"
	diag "iperf3 up, IPv4: $(speed)"
	check "iperf3 down over IPv4, straight from the backend" iperf "$LAB_VIP4" -R
	diag "iperf3 down, IPv4: $(speed)"
	check "iperf3 up over IPv6" iperf "$LAB_VIP6"
	diag "iperf3 up, IPv6: $(speed)"
	check "connections and UDP requests over IPv4" talk v4 "$LAB_VIP4"
	check "connections and UDP requests over IPv6" talk v6 "$LAB_VIP6"
	check "UDP flows were spread over all backends" client_is v4 '.udp.by | length == 3'
	if [[ $1 == one ]]; then
		own_traffic back 10.77.0.2 fd77::2
		check "packets left by XDP_TX" answers GET /v1/status '.packets.tx > 1000 and .packets.redirect == 0'
	else
		own_traffic front 10.76.0.2 fd76::2
		check "packets left by redirect" answers GET /v1/status '.packets.redirect > 1000 and .packets.tx == 0'
	fi
	check "nothing was dropped" answers GET /v1/status '.packets.drop == 0'
	conserved
	lbd_stop TERM || not_ok "lbd stops"
	((${#test_pids[@]} == 0)) || kill "${test_pids[@]}" 2>/dev/null
	test_pids=()
	lab_stop
}

play one ipip ipip
play two ipip ipip
play two gue gue
play one l2 none
play two l2 none

done_testing
