#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A path that is narrower behind its first hop, and a router there that tells: real ICMP from a real router. The lab's two
# arms (scripts/lab.sh), and beside them the routers of route-walk-lib.sh; behind those a link of 1,400 bytes:
#
#   client ... lb e1 10.1.1.100 (XDP) ---- f1 10.1.1.1 net n0 (MTU 1400) ---- 10.50.0.1, fd50::1: nobody
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/route-walk-lib.sh
. "$(dirname "$0")/route-walk-lib.sh"

lab_start --arm two --backends 1
defer ip netns del "$LAB_PREFIX-net"
lbd_init

router_up()
{
	local net="ip -n $LAB_PREFIX-net" lb="ip -n $LAB_PREFIX-lb"
	in_ns net sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 \
		net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000
	in_ns net ethtool -K f1 gro off >/dev/null 2>&1
	$net address add 10.1.1.1/24 dev f1
	$net address add fd01:1::1/64 dev f1 nodad
	$lb address add 10.1.1.100/24 dev e1
	$lb address add fd01:1::100/64 dev e1 nodad
	$net link add n0 type veth peer name n1
	$net link set n0 mtu 1400 up
	$net link set n1 up
	$net route add 10.50.0.0/24 dev n0
	$net -6 route add fd50::/64 dev n0
	# Who answers what was sent from tunnel_source: the balancer.
	$net route add 172.16.0.0/16 via 10.1.1.100
	$net -6 route add fd16::/64 via fd01:1::100
	$lb route add 10.50.0.0/24 via 10.1.1.1
	$lb -6 route add fd50::/64 via fd01:1::1
}

config()
{
	lbd_config "${1:-.}" | jq --arg vip4 "$LAB_VIP4" --arg vip6 "$LAB_VIP6" '.interfaces += [{ "name": "e1", "xdp_mode": "native",
		"attach": "exclusive" }] | .tunnel_source //= { "ipv4": "172.16.0.0/16", "ipv6": "fd16::/64" } | .services = [
		{ "name": "four", "vip": $vip4, "protocol": "udp", "port": 7001, "backends": [ { "name": "b", "address": "10.50.0.1" } ] },
		{ "name": "six", "vip": $vip6, "protocol": "udp", "port": 7001, "backends": [ { "name": "b", "address": "fd50::1" } ] },
		{ "name": "gue", "vip": $vip4, "protocol": "udp", "port": 7002, "forward": "gue",
		  "backends": [ { "name": "b", "address": "10.50.0.2" } ] } ]'
}

nexthop()
{
	answers GET /v1/backends ".backends[] | select(.service == \"$1\") | .nexthop | $2"
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

# A datagram of so many bytes that must not be fragmented: send VIP PORT BYTES. Fails where the client knows of less.
send()
{
	in_ns client python3 - "$@" <<-'PYTHON'
	import socket, sys
	vip, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	six = ":" in vip
	s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
	s.setsockopt(*((socket.IPPROTO_IPV6, 23, 2) if six else (socket.IPPROTO_IP, 10, 2)))  # MTU_DISCOVER: do
	s.sendto(bytes(size), (vip, port))
	PYTHON
}

# The client is told by the balancer, and keeps to it.
client_knows()
{
	in_ns client ip route get "$1" | grep -q "mtu $2"
}

send_until_known()
{
	client_forgets
	send "$1" "$2" 1430 || true
	client_knows "$1" "$3"
}

# What was told of another service's path is of the VIP, at the client.
client_forgets()
{
	in_ns client ip route flush cache
	in_ns client ip -6 route flush cache
}

learned()
{
	client_forgets
	send "$2" "$3" 1400
	nexthop "$1" '.mtu == 1400 and .mtu_from == "router"'
}

check "there are three more links" walk_links
check "and a router with a narrow link behind it" router_up
config >"$LBD_CONFIG"
act "lbd starts" lbd_start
check "next hops are resolved" wait_for 5 lbd_resolved
check "nothing is known of the path" nexthop four '.mtu == 1500 and .mtu_from == "way"'
unheard()
{
	answers GET /v1/status '.warnings | any(test("backends behind routers .*172.16.0.0/16, and unless that is routed"))'
}
check "status warns that nobody would tell, if tunnel_source is not routed here" wait_for 5 unheard
check "and the doctor does" grep -q "backends behind routers" \
	<(in_ns lb "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" doctor 2>&1)
check "IPv4 in IPv4: the router is believed" wait_for 5 learned four "$LAB_VIP4" 7001
check "IPv6 in IPv6: the router is believed" wait_for 5 learned six "$LAB_VIP6" 7001
check "GUE: the router is believed" wait_for 5 learned gue "$LAB_VIP4" 7002
check "an event tells who told what" event_says 'to=10.50.0.1 mtu=1400 router=10.1.1.1'
check "heard of one, it warns no more" wait_for 5 answers GET /v1/status '.warnings | any(test("behind routers")) | not'
check "it is counted" answers GET /v1/drops '.reasons[] | select(.reason == "path_mtu") | .packets > 0'
check "lbctl shows it" grep -q 'MTU 1400 (router)' <(in_ns lb "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" backend list)
check "packets see it" answers POST /v1/explain '.steps | any(.max_bytes? == 1380)' \
	'{"protocol":"udp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':7001"}'
check "the client is told what fits" wait_for 5 send_until_known "$LAB_VIP4" 7001 1380

# One source for all flows proves nothing: whoever knows it and a backend's address could send such messages.
act "lbd is replaced" lbd_stop
config 'del(.tunnel_source)' | jq 'del(.tunnel_source)' >"$LBD_CONFIG"
act "by one whose tunnels come from one address" lbd_start
check "next hops are resolved again" wait_for 5 lbd_resolved
client_forgets

doubted()
{
	send "$LAB_VIP4" 7001 1400
	event_says 'to=10.50.0.1 mtu=1400 router=10.1.1.1 believed=no'
}

check "the router is not believed, and that is told" wait_for 5 doubted
check "packets may have what the link takes" nexthop four '.mtu == 1500 and .mtu_from == "way"'
check "GUE's source port proves enough" wait_for 5 learned gue "$LAB_VIP4" 7002
done_testing
