#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
# beside: labs
#
# Two balancers of one configuration behind ECMP are one: connections move from one to the other and back, and none breaks.
#
#   client -- router == 10.76.0.0/24 == lb   ==+-- br0 -- b1, b2, b3
#                    == 10.78.0.0/24 == xlb2 ==+

# shellcheck disable=SC2317,SC2119,SC2154 # functions that check calls; default arguments; lbd-lib
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"

CONNECTIONS=100

# link PEER DEVICE ADDRESS MTU: from the second balancer to a namespace of the lab.
link()
{
	ip -n "$LAB_PREFIX-$1" link add xlb2 mtu "$4" type veth peer name "$2" mtu "$4" netns "$LAB_PREFIX-xlb2"
	ip -n "$LAB_PREFIX-$1" link set xlb2 up
	ip -n "$LAB_PREFIX-xlb2" link set "$2" up
	ip -n "$LAB_PREFIX-xlb2" address add "$3" dev "$2"
	in_ns xlb2 ethtool -K "$2" tx off >/dev/null
	in_ns "$1" ethtool -K xlb2 tx off >/dev/null
	ip -n "$LAB_PREFIX-$1" link set dev xlb2 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
}

second_balancer()
{
	ip netns add "$LAB_PREFIX-xlb2"
	ip -n "$LAB_PREFIX-xlb2" link set lo up
	in_ns xlb2 sysctl -qw net.ipv4.conf.{all,default}.rp_filter=0
	link sw eth1 10.77.0.3/24 1600
	link router eth0 10.78.0.2/24 1500
	ip -n "$LAB_PREFIX-sw" link set xlb2 master br0
	ip -n "$LAB_PREFIX-router" address add 10.78.0.1/24 dev xlb2
}

lbctl()
{
	in_ns "$1" "$LAB_BUILD/lbctl" --socket "$TEST_TMP/$1.sock" "${@:2}"
}

serves()
{
	[[ $(lbctl "$1" -j status | jq -r .state) == running ]] &&
		lbctl "$1" -j backend list web | jq -e '[.backends[].nexthop.resolved] | all'
}

balancer_start()
{
	lbd_config '.interfaces += [{ "name": "eth1", "attach": "exclusive" }] | .services |= .[:1]' >"$TEST_TMP/$1.json"
	spawn "$1" "$LBD" -c "$TEST_TMP/$1.json" --bpffs "$LAB_DIR/bpf/$1" --state-dir "$TEST_TMP/$1.state" --socket "$TEST_TMP/$1.sock"
	wait_for 15 serves "$1"
}

# Packets to the VIP go this way. way HOP...
way()
{
	local hop hops=()
	for hop in "$@"; do hops+=(nexthop via "$hop"); done
	in_ns router ip route replace 203.0.113.0/24 "${hops[@]}"
}

# connect: another $CONNECTIONS of them, with their output in $spawned_output.
connect()
{
	spawn client python3 "$TEST_ROOT/tests/hosts/connections.py" "$LAB_VIP4" "$CONNECTIONS"
	wait_for 20 grep -q ready "$spawned_output"
}

# Every connection of these processes has been answered since. answered PID:OUTPUT...
answered()
{
	local one before
	for one in "$@"; do
		before=$(grep -c round "${one#*:}")
		kill -USR1 "${one%:*}"
		wait_for 20 rounds "${one#*:}" "$((before + 1))" || return 1
	done
}

rounds()
{
	(($(grep -c round "$1") >= $2))
}

# hang_up PID OUTPUT: sets $broken.
hang_up()
{
	kill -TERM "$1"
	finish "$1" 15
	broken=$(sed -n 's/^done .* broken //p' "$2")
}

lab_start --backends 3
lbd_init
second_balancer
in_ns router sysctl -qw net.ipv4.fib_multipath_hash_policy=1
act "the first balancer" balancer_start lb
act "the second one" balancer_start xlb2
is "they have the same rings" "$(lbctl lb -j status | jq -c .rings)" "$(lbctl xlb2 -j status | jq -c .rings)"
way 10.76.0.2 10.78.0.2
act "connections are open" connect
old=$spawned old_output=$spawned_output
for ways in 10.76.0.2 10.78.0.2 "10.76.0.2 10.78.0.2"; do
	# shellcheck disable=SC2086 # one or two
	way $ways
	check "all go by $ways, and are answered" answered "$old:$old_output"
done
is "none has broken" "$(tail -n 1 "$old_output")" "round $CONNECTIONS"

for host in lb xlb2; do
	lbctl "$host" backend set web b1 --state drain >/dev/null
done
act "more, while slots are unsettled" connect
way 10.78.0.2
check "all go by the second" answered "$old:$old_output" "$spawned:$spawned_output"
hang_up "$old" "$old_output"
is "those from before the drain: none has broken" "$broken" 0
hang_up "$spawned" "$spawned_output"
diag "of $CONNECTIONS that began in unsettled slots and moved, $broken have broken (weir.json(5))"
check "those of the drain: not all are lost" test "$broken" -lt "$CONNECTIONS"

done_testing
