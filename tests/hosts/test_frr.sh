#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 150
# beside: labs
#
# VIPs announced with the real FRR, as configs/frr/weir.conf has it, to a router that is a BIRD:
#
#   client -- router: bird, AS 64513 --+-- lb: FRR, AS 64512; lbd -> tables 177 and 178 -- backends
#                                      +-- xlb2: FRR, AS 64512, with routes as lbd would put them there
#
# What the router's kernel has is what counts. IPv4: see the configuration.

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"
# shellcheck source=tests/hosts/announce-lib.sh
. "$TEST_ROOT/tests/hosts/announce-lib.sh"

FRR=/usr/lib/frr
if ! type bird >/dev/null 2>&1 || [[ ! -x $FRR/bgpd ]]; then
	not_ok "bird and FRR are there: apt install bird2 frr"
	done_testing
fi

# The second balancer, on a link of its own to the router.
second_add()
{
	local namespace=$LAB_PREFIX-xlb2
	ip netns add "$namespace"
	ip -n "$namespace" link set lo up
	ip -n "$LAB_PREFIX-router" link add second type veth peer name eth0 netns "$namespace"
	ip -n "$LAB_PREFIX-router" link set second up
	ip -n "$namespace" link set eth0 up
	ip -n "$LAB_PREFIX-router" address add 10.78.0.1/24 dev second
	ip -n "$namespace" address add 10.78.0.2/24 dev eth0
}

# frr_start HOST [SED SCRIPT for the configuration]
frr_start()
{
	local host=$1 daemon options
	local directory=$TEST_TMP/frr-$host
	mkdir -p "$directory"
	sed "${2:-}" "$TEST_ROOT/configs/frr/weir.conf" >"$directory/frr.conf"
	: >"$directory/empty.conf"
	chown -R frr:frr "$directory"
	chmod 755 "$TEST_TMP" "$directory"
	options=(-u frr -g frr -A 127.0.0.1 -z "$directory/zserv.api" --vty_socket "$directory" -f "$directory/empty.conf")
	for daemon in zebra bfdd bgpd; do
		local more=()
		[[ $daemon != bfdd ]] || more=(--bfdctl "$directory/bfdd.sock")
		spawn "$host" "$FRR/$daemon" "${options[@]}" -i "$directory/$daemon.pid" "${more[@]}"
		wait_for 10 test -S "$directory/$daemon.vty" || return 1
	done
	in_ns "$host" vtysh --vty_socket "$directory" -f "$directory/frr.conf" >"$directory/read" 2>&1
	! grep -v 'route-map .* does not exist' "$directory/read" | diag | grep .
}

frr_signal()
{
	local daemon
	for daemon in "${@:3}"; do
		kill "-$2" "$(cat "$TEST_TMP/frr-$1/$daemon.pid")"
	done
}

frr_diag()
{
	in_ns "$1" vtysh --vty_socket "$TEST_TMP/frr-$1" -c 'show ip route' -c 'show bgp ipv4' -c 'show bgp summary' | diag
}

# Next hops of the VIP in the router's kernel, in order.
ways()
{
	in_ns router ip -j route show "$LAB_VIP4/32" |
		jq -r '[.[] | (.nexthops // [.])[] | .gateway] | sort | join(" ")'
}

goes_by()
{
	[[ $(ways) == "$1" ]]
}

# routes_as_lbd_would serving|draining|withdrawn
second_is()
{
	local route=("$LAB_VIP4/32" dev lo)
	case $1 in
	serving)
		in_ns xlb2 ip route replace "${route[@]}" table 177 proto 201
		;;
	withdrawn)
		in_ns xlb2 ip route del "$LAB_VIP4/32" table 177
		;;
	esac
}

test_serving()
{
	check "lbd announces the VIP in its table" wait_for 10 in_table
	check "the router has it" wait_for 30 goes_by 10.76.0.2
	goes_by 10.76.0.2 || { frr_diag lb; bird_diag; }
	check "requests arrive by it" wait_for 5 requests_arrive
	second_is serving
	check "with a second balancer it has both, at equal cost" wait_for 30 goes_by "10.76.0.2 10.78.0.2"
}

test_draining()
{
	check "leave" lbctl leave
	check "the router is told that it drains" wait_for 5 router_sees_draining
	check "new packets go by the other" wait_for 5 goes_by 10.78.0.2
	check "leave --wait ends" lbctl leave --wait --seconds 60
	is "the table of what drains is empty again" "$(in_ns lb ip route show table 178)" ""
	second_is withdrawn
	check "when both have withdrawn it is gone" wait_for 10 goes_by ""
	check "join" lbctl join
	check "the router has it again" wait_for 30 goes_by 10.76.0.2
}

test_frozen()
{
	local begin
	second_is serving
	wait_for 30 goes_by "10.76.0.2 10.78.0.2"
	begin=${EPOCHREALTIME/./}
	frr_signal xlb2 STOP bfdd bgpd zebra
	check "a frozen speaker is noticed" wait_for 5 goes_by 10.76.0.2
	diag "noticed after $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
	frr_signal xlb2 CONT zebra bgpd bfdd
	check "thawed, it is back" wait_for 30 goes_by "10.76.0.2 10.78.0.2"
	second_is withdrawn
}

test_restart()
{
	local host=lb
	disown -a
	frr_signal "$host" KILL bgpd bfdd zebra
	check "killed: withdrawn at the router" wait_for 5 goes_by ""
	check "lbd's routes stay" in_table
	rm -f "$TEST_TMP/frr-$host"/*.{vty,pid,api}
	frr_start "$host" || not_ok "FRR starts again"
	check "started again: back at the router" wait_for 30 goes_by 10.76.0.2
	check "requests arrive" wait_for 5 requests_arrive
}

lab_start --backends 3
lbd_init
second_add
lbd_config '.services[].announce = "route" | .announce = { "hold_down_s": 1, "drain_s": 3 } |
	.services[].idle_timeout_s = 1' >"$LBD_CONFIG"
in_ns router ip route del 203.0.113.0/24
router_bird 10.78.0.2 >"$TEST_TMP/router.conf"
lbd_start || not_ok "lbd starts"
bird_start router "$TEST_TMP/router.conf" || not_ok "bird of the router starts"
frr_start lb || not_ok "FRR of the balancer starts"
frr_start xlb2 's/10\.76\.0\./10.78.0./g' || not_ok "FRR of the second balancer starts"
test_serving
test_draining
test_frozen
test_restart
done_testing
