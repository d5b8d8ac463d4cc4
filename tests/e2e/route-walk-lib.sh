# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the random walks over routes share: the links to routers that come and go, an agent with a service for each
# backend, and the walk itself. On top of lib.sh and lbd-lib.sh.

WALK_PORT=7001
WALK_BACKENDS=(10.50.0.1 10.50.0.2 10.50.0.5 10.50.0.9 10.1.1.1 10.1.2.2 10.1.3.3
	fd50::1 fd50::2 fd50::5 fd50::9 fd01:1::1 fd01:2::2 fd01:3::3)

walk_config()
{
	local i
	lbd_config . | jq --argjson port $WALK_PORT --arg vip "$LAB_VIP4" '.services = [$ARGS.positional | to_entries[] |
		{ "name": "s\(.key)", "vip": $vip, "protocol": "udp", "port": ($port + .key), "forward": "ipip",
		  "ring_size": 64, "backends": [ { "name": "b", "address": .value } ] }]' --args "${WALK_BACKENDS[@]}"
}

walk_links()
{
	local i
	ip netns add "$LAB_PREFIX-net"
	ip -n "$LAB_PREFIX-net" link set lo up
	in_ns net sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	for i in 1 2 3; do
		ip -n "$LAB_PREFIX-lb" link add "e$i" type veth peer name "f$i" netns "$LAB_PREFIX-net"
		ip -n "$LAB_PREFIX-net" link set dev "f$i" xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
		ip -n "$LAB_PREFIX-net" link set "f$i" up
		ip -n "$LAB_PREFIX-lb" link set "e$i" up
	done
	# Who does not answer is known not to within a second.
	in_ns lb sysctl -qw net.ipv4.neigh.default.retrans_time_ms=100 net.ipv6.neigh.default.retrans_time_ms=100
	for i in 1 2 3; do
		in_ns lb sysctl -qw "net.ipv4.neigh.e$i.retrans_time_ms=100" "net.ipv6.neigh.e$i.retrans_time_ms=100"
	done
}

walk_start()
{
	lab_start --arm two --backends 1
	defer ip netns del "$LAB_PREFIX-net"
	check "there are three more links" walk_links
	lbd_init
	walk_config >"$LBD_CONFIG"
	act "lbd starts" lbd_start
}

# walk [OPTION of route_walk.py...]
walk()
{
	tap_merge < <(python3 "$(dirname "${BASH_SOURCE[0]}")/route_walk.py" --prefix "$LAB_PREFIX" --socket "$LBD_SOCKET" \
		--vip "$LAB_VIP4" --first-port $WALK_PORT "$@" "${WALK_BACKENDS[@]}" 2>&1 ||
		echo "not ok - the walk runs to its end")
}

process_runs()
{
	! process_gone "$1"
}
