#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 150
#
# lbctl doctor on a balancer of the lab (two arms, drawn in scripts/lab.sh): nothing on a healthy host, and each of 20
# faults named. Those marked * lose packets. What veth lacks is judged from files as real machines have them.

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"

named=0 false_alarms=0

# The configuration of these tests with both arms, changed by the filter. two_arms [JQ FILTER]
two_arms()
{
	lbd_config '.interfaces = [ .interfaces[0], (.interfaces[0] | .name = "eth1") ]' | jq "${1:-.}"
}

doctor()
{
	in_ns lb env LBCTL_DOCTOR_ROOT="$HOST" "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" doctor "$LBD_CONFIG" "$@"
}

# healthy WHEN: the doctor finds nothing.
healthy()
{
	local output
	output=$(doctor)
	if [[ $output == *" 0 found something"* ]]; then
		ok "nothing is found $1"
	else
		false_alarms=$((false_alarms + 1))
		not_ok "nothing is found $1" "$output"
	fi
}

is_healthy()
{
	doctor | grep -q ' 0 found something'
}

names()
{
	doctor -j | jq -e --arg check "$1" --arg text "$2" \
		'[.findings[] | select(.check == $check and (.found | contains($text)) and .why != "" and .mend != "")] | length > 0'
}

# fault NAME CHECK TEXT: the fault that is there now is named, within a bound.
fault()
{
	if wait_for 8 names "$2" "$3"; then
		named=$((named + 1))
		ok "$1"
	else
		not_ok "$1" "$(doctor)"
	fi
}

# put FILE TEXT: a file of the recorded host.
put()
{
	mkdir -p "$HOST${1%/*}"
	echo "$2" >"$HOST$1"
}

# A host of two memory nodes with a NIC of eight queues, all as it should be.
record_host()
{
	local i
	HOST=$TEST_TMP/host
	mkdir -p "$HOST/sys/fs/bpf"
	mount --bind "$LAB_DIR/bpf" "$HOST/sys/fs/bpf"
	defer umount "$HOST/sys/fs/bpf"
	put /proc/sys/net/core/bpf_jit_enable 1
	put /sys/devices/system/cpu/online 0-7
	put /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor performance
	put /sys/devices/system/cpu/cpu0/cpufreq/scaling_driver acpi-cpufreq
	put /sys/devices/system/node/node0/cpulist 0-3
	put /sys/devices/system/node/node1/cpulist 4-7
	put /sys/class/net/eth0/device/vendor 0x15b3
	put /sys/class/net/eth0/device/numa_node 0
	for i in 0 1 2 3 4 5 6 7; do
		mkdir -p "$HOST/sys/class/net/eth0/queues/rx-$i"
		put "/sys/class/net/eth0/device/msi_irqs/$((100 + i))" msix
		put "/proc/irq/$((100 + i))/effective_affinity_list" "$((i % 4))"
	done
}

test_hardware()
{
	local i
	for i in 0 1 2 3 4 5 6 7; do
		put "/proc/irq/$((100 + i))/effective_affinity_list" 2
	done
	fault "* all interrupts at one core" interrupts "go to core 2"
	for i in 0 1 2 3 4 5 6 7; do
		put "/proc/irq/$((100 + i))/effective_affinity_list" "$((4 + i % 4))"
	done
	fault "interrupts at the other memory node" numa "memory node 0"
	for i in 0 1 2 3 4 5 6 7; do
		put "/proc/irq/$((100 + i))/effective_affinity_list" "$((i % 4))"
	done
	mv "$HOST/sys/class/net/eth0/queues" "$HOST/queues"
	mkdir -p "$HOST/sys/class/net/eth0/queues/rx-0"
	fault "* fewer queues than cores" queues "1 receive queues for 8 cores"
	rm -r "$HOST/sys/class/net/eth0/queues"
	mv "$HOST/queues" "$HOST/sys/class/net/eth0/queues"
	put /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor powersave
	fault "cores at their lowest frequency" governor powersave
	put /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor performance
	put /proc/sys/net/core/bpf_jit_enable 0
	fault "no compiler" jit "is off"
	put /proc/sys/net/core/bpf_jit_enable 1
	umount "$HOST/sys/fs/bpf"
	fault "no bpf file system" bpffs "no bpf file system"
	mount --bind "$LAB_DIR/bpf" "$HOST/sys/fs/bpf"
	healthy "when the hardware is as it was"
}

test_configuration()
{
	cp "$LBD_CONFIG" "$TEST_TMP/good.json"
	chmod o+r "$LBD_CONFIG"
	fault "a secret that everybody may read" configuration "everybody may read"
	chmod o= "$LBD_CONFIG"
	echo '{ "version": 1, "wieght": 2 }' >"$LBD_CONFIG"
	fault "a configuration that is wrong" configuration "wieght"
	two_arms '.services[0].idle_timeout_s = 77' >"$LBD_CONFIG"
	fault "file and what runs differ" drift "differs"
	two_arms '.interfaces += [ { "name": "eth9" } ]' >"$LBD_CONFIG"
	fault "* an interface that is not there" interfaces "no interface eth9"
	two_arms '.interfaces = [ .interfaces[0] ]' >"$LBD_CONFIG"
	fault "* backends behind an interface that is not configured" ways "reached by eth1"
	cat "$TEST_TMP/good.json" >"$LBD_CONFIG"
	wait_for 20 is_healthy # lbd looks at the file once a second
	healthy "when the file is as it was"
}

test_network()
{
	local b1
	b1=$(lab_backend4 1)
	in_ns lb ip address add "$LAB_VIP4/32" dev eth0
	fault "* a VIP that is an address of the host" vips "$LAB_VIP4"
	in_ns lb ip address del "$LAB_VIP4/32" dev eth0
	in_ns lb ip route add blackhole "$b1/32"
	fault "* a blackhole on the way to a backend" ways "no route to backend b1"
	in_ns lb ip route del blackhole "$b1/32"
	in_ns lb ip route add unreachable "$b1/32"
	fault "* an unreachable route to a backend" ways "no route to backend b1"
	in_ns lb ip route del unreachable "$b1/32"
	in_ns lb ip link set eth1 mtu 1500
	fault "* a way that is too narrow for the tunnel" ways "takes 1500 bytes"
	in_ns lb ip link set eth1 mtu 1600
	in_ns b1 sysctl -qw net.ipv6.conf.eth0.keep_addr_on_down=1
	in_ns b1 ip link set eth0 down
	in_ns lb ip neighbour flush to "$b1"
	in_ns lb ping -c 1 -W 1 "$b1" >/dev/null 2>&1
	fault "* a next hop that does not answer" ways "does not answer"
	in_ns b1 ip link set eth0 up
	in_ns lb ip neighbour flush to "$b1"
	in_ns lb ping -c 1 -W 2 "$b1" >/dev/null 2>&1
	wait_for 10 in_ns lb ping -c 1 -W 1 "$(lab_backend6 1)" >/dev/null 2>&1 # its address is tentative first
	in_ns lb sysctl -qw net.ipv6.conf.eth1.keep_addr_on_down=1
	in_ns lb ip link set eth1 down
	fault "* an interface that is down" interfaces "eth1 is down"
	in_ns lb ip link set eth1 up
	wait_for 20 is_healthy
	healthy "when the network is as it was"
}

# Beside the twenty: answers of VIPs to checks, which the host would drop.
test_replies()
{
	two_arms '.health.check = { "kind": "tcp" }' >"$LBD_CONFIG"
	put /proc/sys/net/ipv4/conf/eth1/rp_filter 1
	check "a strict rp_filter on the way to a checked backend is named" names ways "rp_filter is 1 (strict) on eth1"
	is "once, for all backends behind it" "$(doctor -j | jq '[.findings[] | select(.found | contains("rp_filter"))] | length')" 1
	put /proc/sys/net/ipv4/conf/all/rp_filter 2
	check "not where the looser value counts" eval '! names ways rp_filter'
	put /proc/sys/net/ipv4/conf/all/rp_filter 1
	put /proc/sys/net/ipv4/conf/eth1/rp_filter 0
	check "where the stricter one counts it is" names ways "rp_filter is 1 (strict) on eth1"
	two_arms '.health.check = { "kind": "tcp", "target": "address" }' >"$LBD_CONFIG"
	check "not where checks ask the backend's own address" eval '! names ways rp_filter'
	put /proc/sys/net/ipv4/conf/all/rp_filter 0
	two_arms >"$LBD_CONFIG"
}

# named CHECK TEXT WHEN: beside the twenty as well. The file or link that is there now is as it was afterwards.
named()
{
	check "$3 is named" names "$1" "$2"
}

# What NICs and kernels say that are not here, as recorded.
test_recorded()
{
	put /ethtool/eth0/rx-flow-hash-tcp4 0x30
	named spreading "spreads tcp4 by addresses alone" "spreading without ports"
	put /ethtool/eth0/rx-flow-hash-tcp4 0xf0
	put /ethtool/eth0/rx-flow-hash-udp4 0x30
	put /ethtool/eth0/rings "256 4096"
	named rings "256 receive buffers, and may have 4096" "a short ring"
	put /ethtool/eth0/rings "1024 4096"
	put /ethtool/eth0/flags 0x8000
	named offloads "puts packets together" "large receive offload"
	put /ethtool/eth0/flags 0x80
	ln -s ../../../bus/pci/drivers/tg3 "$HOST/sys/class/net/eth0/device/driver"
	named driver "driver tg3, without native XDP" "a driver without native XDP"
	ln -sfn ../../../bus/pci/drivers/ixgbe "$HOST/sys/class/net/eth0/device/driver"
	put /sys/class/net/eth0/mtu 9000
	named driver "MTU of 9000, and driver ixgbe" "an MTU that the driver does not bear"
	put /sys/class/net/eth0/mtu 1500
	put /sys/devices/system/clocksource/clocksource0/current_clocksource hpet
	named clocks "the kernel's clock is hpet" "a slow clock"
	put /sys/devices/system/clocksource/clocksource0/current_clocksource tsc
	put /adjtimex 5
	named clocks "not synchronised" "a clock that runs free"
	put /adjtimex 0
	put /proc/net/nf_conntrack "ipv4     2 tcp      6 9 SYN_SENT src=198.51.100.2 dst=$LAB_VIP4 sport=9 dport=80 [UNREPLIED]"
	named conntrack "follows 1 connections to VIPs" "a connection to a VIP that is tracked"
	put /proc/net/nf_conntrack "ipv4     2 tcp      6 9 SYN_SENT src=$LAB_VIP4 dst=198.51.100.2 sport=9 dport=80 [UNREPLIED]"
	wait_for 20 is_healthy # lbd looks at the configuration once a second
	healthy "when such files say that all is well"
}

# A user who may do nothing gets what files and netlink tell, and how much that is not.
test_without_root()
{
	local output
	output=$(in_ns lb setpriv --reuid 65534 --regid 65534 --clear-groups "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" doctor \
		"$TEST_ROOT/configs/minimal.json" 2>&1)
	check "without root it does what it can" grep -q "^agent: lbd does not answer" <<<"$output"
	check "and says how much it could not" grep -qE '[2-9] could not be made \(some need root\)$' <<<"$output"
}

test_programs()
{
	kill "$lbd_pid"
	wait_for 10 process_gone "$lbd_pid"
	fault "the agent is not there" agent "does not answer"
	"$LAB_BUILD/lbd" --detach --bpffs "$LBD_BPFFS" >/dev/null 2>&1
	fault "* no program on an interface" programs "no XDP program is attached to eth0"
	in_ns lb ip link set dev eth0 xdpdrv object "$LAB_BUILD/bpf/flood_sink.bpf.o" section xdp.frags
	fault "* somebody else's program" programs "is taken by program"
	in_ns lb ip link set dev eth0 xdpdrv off
}

lab_start --backends 3
lbd_init
two_arms >"$LBD_CONFIG"
chmod o= "$LBD_CONFIG"
record_host
lbd_start || not_ok "lbd starts"
check "a healthy host is found so in the end" wait_for 10 is_healthy
healthy "on a healthy host"
test_hardware
test_configuration
test_network
test_replies
test_recorded
test_without_root
test_programs
is "20 faults are named" "$named" 20
is "nothing else is" "$false_alarms" 0
echo "doctor: $named of 20 faults named, $false_alarms false"
done_testing
