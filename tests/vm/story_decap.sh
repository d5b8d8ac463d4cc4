#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Backends without lb-backend: the kernel's own tunnel devices (ipip, ip6tnl, sit) and its fou take our packets, of
# every kind of tunnel, carrying real connections. The lab's two arms (scripts/lab.sh), two backends; a VIP for each
# kind, so that a device's counter tells who decapsulated.

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm two --backends 2 --decap off
lbd_init
vm_files

# kind, VIP, forward, backends' address family, the backends' device that decapsulates
kinds=(
	"4in4 203.0.113.10 ipip 4 tun4"
	"4in6 203.0.113.11 ipip 6 tun6"
	"6in6 2001:db8:113::10 ipip 6 tun6"
	"gue-4in4 203.0.113.12 gue 4 tun4"
	"gue-4in6 203.0.113.13 gue 6 tun6"
	"gue-6in6 2001:db8:113::12 gue 6 tun6"
	"gue-6in4 2001:db8:113::13 gue 4 sit4"
)

# backend_kernel NUMBER: what an administrator would type instead of lb-backend up.
backend_kernel()
{
	local host=b$1 local4 local6 kind vip
	local4=$(lab_backend4 "$1") local6=$(lab_backend6 "$1")
	in_ns "$host" ip link add tun4 type ipip local "$local4" remote any
	in_ns "$host" ip link add tun6 type ip6tnl mode any local "$local6" remote any
	in_ns "$host" ip link add sit4 type sit local "$local4" remote any
	for device in tun4 tun6 sit4; do
		in_ns "$host" ip link set "$device" mtu 1500 up
	done
	in_ns "$host" ip fou add port 6080 gue
	in_ns "$host" ip -6 fou add port 6080 gue
	for kind in "${kinds[@]}"; do
		read -r _ vip _ <<<"$kind"
		in_ns "$host" ip address add "$vip" dev lo
	done
}

decap_config()
{
	local kind name vip forward family device
	for kind in "${kinds[@]}"; do
		read -r name vip forward family device <<<"$kind"
		jq -n --arg name "$name" --arg vip "$vip" --arg forward "$forward" \
			--arg b1 "$("lab_backend$family" 1)" --arg b2 "$("lab_backend$family" 2)" \
			'{ $name, $vip, protocol: "tcp", port: 80, $forward,
			   backends: [{ name: "b1", address: $b1 }, { name: "b2", address: $b2 }] }'
	done | jq -s --argjson base "$(lbd_config .)" '$base + { services: . }'
}

for module in ipip ip6_tunnel sit fou fou6; do
	check "the kernel has $module" modprobe "$module"
done
check "the first backend has the kernel's tunnels" backend_kernel 1
check "and so has the second" backend_kernel 2
decap_config >"$LBD_CONFIG"
act "lbd starts" vm_lbd_start

for kind in "${kinds[@]}"; do
	read -r name vip _ _ device <<<"$kind"
	[[ $vip == *:* ]] && vip="[$vip]"
	before=$(received b1 "$device")
	check "$name: connections reach both backends" reaches "$vip" 2 16
	check "$name: a download is intact" download_intact "$vip"
	check "$name: an upload arrives" upload_intact "$vip"
	check "$name: it was the kernel's $device" test "$(received b1 "$device")" -gt "$before"
done
check "received is what was sent, passed and dropped" conserved
check "nothing was dropped" answers GET /v1/status '.packets.drop == 0'

done_testing
