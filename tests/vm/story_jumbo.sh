#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Frames of several buffers that are answered, on native veth with MTU 9000: in the emulated kernels alone, since a kernel
# whose frame was shortened the wrong way corrupts its memory. The lab's two arms (scripts/lab.sh); packets come in with up
# to 9,000 bytes, and 1,580 (IPv6: 1,560) fit the tunnel.

# shellcheck disable=SC2016,SC2317 # jq and shells that check calls expand what stands there; functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm two --backends 2
lbd_init
vm_files
lbd_config '.services[0] as $web | .services[1] as $web6 | .services += [
	$web + { "name": "dns", "protocol": "udp", "port": 53 }, $web6 + { "name": "dns6", "protocol": "udp", "port": 53 } ]
	| .services |= map(.backends |= .[:2])' >"$LBD_CONFIG"
for end in client:eth0 router:client router:front lb:eth0; do
	in_ns "${end%:*}" ip link set "${end#*:}" mtu 9000
done

frames()
{
	/usr/bin/python3 -I "$TEST_ROOT/tests/e2e/frames.py" "$LAB_PREFIX" "$@"
}

# What a damaged kernel says.
kernel_complains()
{
	dmesg | grep -E 'Bad page|page_pool|BUG|WARNING|Oops|general protection|list_(add|del) corruption'
}

answered()
{
	answers GET /v1/drops ".reasons[] | select(.reason == \"reply_too_big\") | .packets >= $1"
}

act "lbd starts" vm_lbd_start
refuse "the kernel is content at first" "" kernel_complains
is "datagrams of 8,000 bytes: the client learns what fits" "$(frames jumbo 4 300)" 1580
is "over IPv6 as well" "$(frames jumbo 6 300)" 1560
check "they were answered" answered 100
check "an upload in large segments arrives" upload_intact "$LAB_VIP4"
check "over IPv6 as well" upload_intact "[$LAB_VIP6]"
check "received is what was sent, passed and dropped" conserved
vm_lbd_stop TERM
check "--detach ends well" timeout $PATIENCE nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" --detach
for host in lb router client; do
	in_ns "$host" ip link set lo down
done
refuse "the kernel is content still" "" kernel_complains

done_testing
