#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The world around the balancer changes while connections are open: a backend gets another MAC, the neighbour table is
# flushed, the link to the backends goes down and comes back, routes move to another interface, packets begin to come
# in by another interface. Packets may be lost meanwhile, as on any network; connections get over it, and go on to the
# same backend. Two arms, and a third link:
#
#   P-lb eth2 (10.77.0.3, fd77::3) ---- lb2 of P-sw's bridge
# timeout: 240
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

lab_start --arm two --backends 3
lbd_init
client_init
serve_start || not_ok "the servers start"
traffic_config >"$LBD_CONFIG"
in_ns lb sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1 net.ipv6.conf.eth1.keep_addr_on_down=1

third_link()
{
	ip -n "$LAB_PREFIX-sw" link add lb2 mtu 1600 type veth peer name eth2 mtu 1600 netns "$LAB_PREFIX-lb"
	in_ns sw ethtool -K lb2 tx off
	in_ns lb ethtool -K eth2 tx off
	ip -n "$LAB_PREFIX-sw" link set lb2 master br0 up
	ip -n "$LAB_PREFIX-lb" link set eth2 up
	ip -n "$LAB_PREFIX-lb" address add 10.77.0.3/32 dev eth2
	ip -n "$LAB_PREFIX-lb" address add fd77::3/128 dev eth2 nodad
	ip -n "$LAB_PREFIX-sw" link set dev lb2 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
}

# Every client gets answers on all of its connections: each long connection has been asked again since.
go_on()
{
	local before
	before=$(client v4 '.long.answers')
	client_more v4 600 && client_more v6 600 && wait_for 30 client_is v4 ".long.answers >= $before + 80"
}

unbroken()
{
	client_is v4 '[.long, .short, .udp] | map(.broken) | add == 0' &&
		client_is v6 '[.long, .short, .udp] | map(.broken) | add == 0' && return
	cat "${client_outputs[v4]}" "${client_outputs[v6]}"
	return 1
}

# Connections that are gone need no further trial.
go_or_end()
{
	((test_failed == 0)) || done_testing
}

# nexthop BACKEND FILTER: of both families
nexthop()
{
	answers GET /v1/backends "[.backends[] | select(.name == \"$1\") | .nexthop | $2] | all"
}

# The router sends the VIPs by: front (to eth0) or back (to eth1).
route_by()
{
	if [[ $1 == front ]]; then
		in_ns router ip route replace 203.0.113.0/24 via 10.76.0.2
		in_ns router ip -6 route replace 2001:db8:113::/64 via fd76::2
	else
		in_ns router ip route replace 203.0.113.0/24 via 10.77.0.2
		in_ns router ip -6 route replace 2001:db8:113::/64 via fd77::2
	fi
}

# The driver has seen more packets on an interface than before. comes_in_by INTERFACE
comes_in_by()
{
	local before
	before=$(veth_counter xdp_packets "$1")
	client_more v4 200 && (($(veth_counter xdp_packets "$1") >= before + 200))
}

act "lbd starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
client_start v4 "$LAB_VIP4" --long 40 --short 4 --udp 20 --interval 150 --stall 20000
client_start v6 "$LAB_VIP6" --long 40 --short 4 --udp 20 --interval 150 --stall 20000
check "traffic flows" go_on

# The backend tells of it, as hosts do that take over an address.
mac=02:aa:bb:cc:dd:01
in_ns b1 sysctl -qw net.ipv4.conf.eth0.arp_notify=1 net.ipv6.conf.eth0.ndisc_notify=1
in_ns b1 ip link set eth0 address $mac
check "a backend's new MAC is followed" wait_for 10 nexthop b1 ".mac == \"$mac\""
check "connections get over it" go_on
check "none is broken" unbroken
go_or_end

for _ in 1 2 3 4 5; do
	in_ns lb ip neigh flush all
	in_ns lb ip -6 neigh flush all
	client_more v4 60 >/dev/null
done
check "nobody minds flushes of the neighbour table" go_on
check "next hops are resolved after flushes" wait_for 10 lbd_resolved
check "none is broken by flushes" unbroken
go_or_end

in_ns lb ip link set eth1 down
check "the link to the backends is down: the router takes packets to them" wait_for 10 nexthop b2 \
	'.resolved and .interface == "eth0"'
check "connections get over it" go_on
in_ns lb ip link set eth1 up
check "when it is up, it is used again" wait_for 20 nexthop b2 '.resolved and .interface == "eth1"'
check "connections get over it" go_on
check "none is broken by a link that went down" unbroken
go_or_end

third_link >/dev/null 2>&1 || not_ok "there is a third link"
in_ns lb ip route add 10.77.0.11/32 dev eth2 src 10.77.0.3
in_ns lb ip -6 route add fd77::11/128 dev eth2 src fd77::3
check "a route to b1 by another interface is followed" wait_for 20 nexthop b1 '.resolved and .interface == "eth2"'
check "traffic goes on" go_on
check "by that interface as well" test "$(in_ns lb ethtool -S eth2 | awk '/tx_queue_[0-9]+_xdp_xmit:/ { s += $2 } END { print s }')" -gt 50
in_ns lb ip route del 10.77.0.11/32 dev eth2
in_ns lb ip -6 route del fd77::11/128 dev eth2
check "and when it goes, the old one again" wait_for 20 nexthop b1 '.resolved and .interface == "eth1"'
check "connections get over it" go_on
in_ns lb ip link del eth2
check "nobody minds that the third link goes away" go_on
check "none is broken by routes" unbroken
go_or_end

TRAFFIC_INTERFACES="eth0 eth1"
traffic_config >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "XDP runs on two interfaces" wait_for 10 answers GET /v1/status '[.interfaces[].attached] == [true, true]'
check "traffic goes on" go_on
route_by back
check "packets come in by the other one" comes_in_by eth1
check "connections go on" go_on
for _ in 1 2 3 4 5; do
	route_by front
	client_more v4 60 >/dev/null
	route_by back
	client_more v4 60 >/dev/null
done
route_by front
check "connections go on while their packets change sides" go_on
check "none is broken by that" unbroken
go_or_end

check "over IPv4 nothing was broken" client_stop v4
check "over IPv6 nothing was broken" client_stop v6
diag "slowest answers: $(client v4 .slowest_ms) and $(client v6 .slowest_ms) ms"
diag "$(api GET /v1/drops | jq -r '[.reasons[] | select(.action == "drop" and .packets > 0) | "\(.reason) \(.packets)"] | join(", ")')"
# What was redirected to a link that is down, the driver has dropped.
CONSERVED_LOSS=redirect
conserved eth0 eth1
done_testing
