#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real 802.1Q devices: the router reaches the balancer through VLAN 100 or untagged, the balancer its backends through
# VLAN 200 or untagged, on links that carry all of them. What leaves has the tag of its route and no other. The lab's single arm (scripts/lab.sh), and on top:
#
#   router back.100 10.78.0.1  ---- tag 100 ----  lb eth0 (XDP), eth0.100 10.78.0.2  ---- tag 200 ----  b1, b2 eth0.200
#
# The first backend decapsulates with the kernel's tunnels, the second with lb-backend on the VLAN device. XDP sees a
# tag only where hardware has not taken it off: on veth that is "txvlan off" at the far end.

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm one --backends 2 --decap off
lbd_init
vm_files
lbd_config '.services[].backends |= .[:2]' >"$LBD_CONFIG"

# vlan_add HOST DEVICE VLAN
vlan_add()
{
	in_ns "$1" ip link add link "$2" name "$2.$3" type vlan id "$3" && in_ns "$1" ip link set "$2.$3" up
}

router_up()
{
	vlan_add router back 100
	in_ns router ip address add 10.78.0.1/24 dev back.100
	in_ns router ip address add fd78::1/64 dev back.100 nodad
	in_ns router ip route replace 203.0.113.0/24 via 10.78.0.2
	in_ns router ip -6 route replace 2001:db8:113::/64 via fd78::2
	in_ns router ethtool -K back txvlan off
	in_ns sw ethtool -K lb txvlan off
}

balancer_up()
{
	local i
	vlan_add lb eth0 100
	in_ns lb ip address add 10.78.0.2/24 dev eth0.100
	in_ns lb ip address add fd78::2/64 dev eth0.100 nodad
	vlan_add lb eth0 200
	in_ns lb ip address add 10.79.0.2/24 dev eth0.200
	in_ns lb ip address add fd79::2/64 dev eth0.200 nodad
	for i in 1 2; do
		in_ns lb ip route add "$(lab_backend4 "$i")" dev eth0.200 src 10.79.0.2
		in_ns lb ip -6 route add "$(lab_backend6 "$i")" dev eth0.200
	done
}

# A backend's addresses are on its VLAN as well: it answers who asks there.
backend_vlan()
{
	vlan_add "b$1" eth0 200
	in_ns "b$1" ip address add "$(lab_backend4 "$1")/32" dev eth0.200
	in_ns "b$1" ip address add "$(lab_backend6 "$1")/128" dev eth0.200 nodad
	in_ns "b$1" ip route add 10.79.0.0/24 dev eth0.200
	in_ns "b$1" ip -6 route add fd79::/64 dev eth0.200
}

backend_kernel()
{
	backend_vlan 1
	in_ns b1 ip link add tun4 type ipip local "$(lab_backend4 1)" remote any
	in_ns b1 ip link add tun6 type ip6tnl mode any local "$(lab_backend6 1)" remote any
	in_ns b1 ip link set tun4 mtu 1500 up
	in_ns b1 ip link set tun6 mtu 1500 up
	in_ns b1 ip address add "$LAB_VIP4" dev lo
	in_ns b1 ip address add "$LAB_VIP6" dev lo
}

backend_ours()
{
	backend_vlan 2
	in_ns b2 "$LAB_BUILD/lb-backend" up --vip "$LAB_VIP4" "$LAB_VIP6" --dev eth0.200 --decap ipip --state-dir "$LAB_DIR/b2"
}

check "the kernel has 8021q" modprobe -a 8021q ipip ip6_tunnel
check "the router has a VLAN" router_up
check "so has the balancer" balancer_up
check "and a backend with the kernel's tunnels" backend_kernel
check "and a backend with lb-backend on the VLAN device" backend_ours
act "lbd starts" vm_lbd_start
check "native XDP is attached to the device below" answers GET /v1/status \
	'.interfaces[0] | .name == "eth0" and .mode == "native" and .attached'
check "the balancer's own address on the VLAN is reached" in_ns router ping -c 1 -W 20 10.78.0.2
check "over IPv6 too" in_ns router ping -c 1 -W 20 fd78::2
check "backends are reached through their VLAN" answers GET /v1/backends \
	'[.backends[].nexthop | .interface == "eth0.200" and .vlan == 200 and .action == "tx"] | all'

# So many packets more are somebody's requests; fewer are a device's own, as neighbour solicitations and reports of groups.
strays=9

# traffic NAME: over both families, both ways; it comes to the backends with their tag
traffic()
{
	local before1 before2
	before1=$(received b1 eth0.200) before2=$(received b2 eth0.200)
	check "$1: IPv4 reaches both backends" reaches "$LAB_VIP4" 2 16
	check "$1: IPv6 reaches both backends" reaches "[$LAB_VIP6]" 2 16
	check "$1: a download is intact" download_intact "$LAB_VIP4"
	check "$1: an upload over IPv4 arrives" upload_intact "$LAB_VIP4"
	check "$1: an upload over IPv6 arrives" upload_intact "[$LAB_VIP6]"
	check "$1: the first backend got them with its tag" test "$(received b1 eth0.200)" -gt $((before1 + strays))
	check "$1: and so did the second" test "$(received b2 eth0.200)" -gt $((before2 + strays))
}

untagged_router()
{
	in_ns router ip route replace 203.0.113.0/24 via 10.77.0.2
	in_ns router ip -6 route replace 2001:db8:113::/64 via fd77::2
}

untagged_backend()
{
	in_ns lb ip route del "$(lab_backend4 1)" dev eth0.200
	wait_for "$PATIENCE" answers GET /v1/backends \
		'[.backends[] | select(.name == "b1" and .service == "web") | .nexthop | .resolved and .interface == "eth0"] | all'
}

traffic "another tag comes in"
check "the router sends without a tag" untagged_router
traffic "no tag comes in"
check "the router sends with its tag again" in_ns router ip route replace 203.0.113.0/24 via 10.78.0.2
check "a backend is reached without a tag" untagged_backend
before=$(received b1 eth0.200)
check "IPv4 reaches both backends, one of them without a tag" reaches "$LAB_VIP4" 2 48
check "that one got none with a tag" test "$(received b1 eth0.200)" -le $((before + strays))
check "received is what was sent, passed and dropped" conserved
check "nothing was dropped" answers GET /v1/status '.packets.drop == 0'

done_testing
