#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 230
#
# VIPs on a flat LAN ("announce": "neighbor") with two balancers and the real keepalived, as configs/keepalived has it:
#
#   client -- router --+------ br0 ------+-- lb   (priority 150)     b1, b2
#                      10.77.0.0/24      +-- xlb2 (priority 100)
#
# The router has the VIPs' network on the LAN, and asks it by ARP and neighbour solicitations.

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

type keepalived >/dev/null 2>&1 || {
	not_ok "keepalived is there: apt install keepalived"
	done_testing
}

PROBE=$TEST_ROOT/tests/hosts/lan_probe.py
declare -A lbd keepalived neighbor

# The second balancer, on the bridge.
balancer_add()
{
	local host=xlb2 namespace=$LAB_PREFIX-xlb2
	ip netns add "$namespace"
	in_ns "$host" sysctl -qw net.ipv4.conf.{all,default}.{rp_filter,arp_ignore,arp_announce}=0 \
		net.ipv6.conf.{all,default}.accept_dad=0
	ip -n "$namespace" link set lo up
	ip -n "$LAB_PREFIX-sw" link add xlb2 mtu 1600 type veth peer name eth0 mtu 1600 netns "$namespace"
	ip -n "$LAB_PREFIX-sw" link set xlb2 master br0 up
	ip -n "$namespace" link set eth0 up
	ip -n "$namespace" address add 10.77.0.3/24 dev eth0
	ip -n "$namespace" address add fd77::3/64 dev eth0 nodad
	in_ns "$host" ethtool -K eth0 tx off >/dev/null
	in_ns sw ethtool -K xlb2 tx off >/dev/null
	ip -n "$LAB_PREFIX-sw" link set dev xlb2 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
}

config()
{
	jq "${1:-.}" <<-JSON
	{
	  "version": 1, "hash_seed": "test",
	  "interfaces": [ { "name": "eth0", "xdp_mode": "native", "attach": "exclusive" } ],
	  "limits": { "flow_entries": 100000 },
	  "announce": { "hold_down_s": 1, "drain_s": 1 },
	  "services": [
	    { "name": "web", "vip": "$LAB_VIP4", "protocol": "tcp", "port": 80, "forward": "l2", "announce": "neighbor",
	      "on_empty": "withdraw", "idle_timeout_s": 1,
	      "backends": [ { "name": "b1", "address": "$(lab_backend4 1)" }, { "name": "b2", "address": "$(lab_backend4 2)" } ] },
	    { "name": "web6", "vip": "$LAB_VIP6", "protocol": "tcp", "port": 80, "forward": "l2", "announce": "neighbor",
	      "on_empty": "withdraw", "idle_timeout_s": 1,
	      "backends": [ { "name": "b1", "address": "$(lab_backend6 1)" }, { "name": "b2", "address": "$(lab_backend6 2)" } ] } ]
	}
	JSON
}

serves()
{
	[[ $(in_ns "$1" "$LAB_BUILD/lbctl" --socket "$TEST_TMP/$1.sock" status -j | jq -r .state) == running ]]
}

lbctl()
{
	in_ns "$1" "$LAB_BUILD/lbctl" --socket "$TEST_TMP/$1.sock" "${@:2}"
}

start_lbd()
{
	spawn "$1" "$LAB_BUILD/lbd" -c "$TEST_TMP/$1.json" --bpffs "$LAB_DIR/bpf/$1" --state-dir "$TEST_TMP/$1.state" \
		--socket "$TEST_TMP/$1.sock"
	lbd[$1]=$spawned
	wait_for 15 serves "$1" || diag <"$spawned_output"
}

start_neighbor()
{
	mkdir -p "$TEST_TMP/$1.run"
	spawn "$1" "$LAB_BUILD/lb-neighbor" run --bpffs "$LAB_DIR/bpf/$1" --run-dir "$TEST_TMP/$1.run"
	neighbor[$1]=$spawned
}

start_keepalived()
{
	rm -f "$TEST_TMP/$1".{pid,vrrp}
	spawn "$1" keepalived -n -l -P -f "$TEST_TMP/$1.keepalived" -p "$TEST_TMP/$1.pid" -r "$TEST_TMP/$1.vrrp"
	keepalived[$1]=$spawned
}

# The process that elects: keepalived's child.
voter()
{
	pgrep -P "${keepalived[$1]}" | head -n 1
}

kill_keepalived()
{
	local child
	child=$(voter "$1")
	disown "${keepalived[$1]}"
	kill -KILL "${keepalived[$1]}" "$child"
	wait_for 5 process_gone "$child"
}

leads()
{
	[[ $(in_ns "$1" "$LAB_BUILD/lb-neighbor" status -j --bpffs "$LAB_DIR/bpf/$1" | jq -c '[.groups[].leads]') == '[true]' ]]
}

follows()
{
	! leads "$1"
}

# The router has learnt that the balancer has the VIP. router_knows HOST VIP
router_knows()
{
	[[ $(ip -n "$LAB_PREFIX-router" -j neigh show "$2" dev back | jq -r '.[0].lladdr') == "$(ip -n "$LAB_PREFIX-$1" -j link show eth0 | jq -r '.[0].address')" ]]
}

fetches()
{
	in_ns client curl -gsf --max-time 1 "http://$1/id"
}

probes_start()
{
	spawn client python3 "$PROBE" connect "$LAB_VIP4" 80
	connect_pid=$spawned connect_output=$spawned_output
	spawn router python3 "$PROBE" arp back 10.77.0.1 "$LAB_VIP4"
	arp_pid=$spawned arp_output=$spawned_output
	wait_for 5 grep -q probing "$connect_output"
	wait_for 5 grep -q probing "$arp_output"
}

# Sets gap_ms, failed, two_ms.
probes_stop()
{
	kill "$connect_pid" "$arp_pid"
	finish "$connect_pid" 5
	finish "$arp_pid" 5
	diag "$1: $(tail -n 1 "$connect_output"); $(tail -n 1 "$arp_output")"
	gap_ms=$(sed -n 's/.*longest_gap_ms //p' "$connect_output")
	failed=$(sed -n 's/.*failed \([0-9]*\) .*/\1/p' "$connect_output")
	two_ms=$(sed -n 's/.*two_ms \([0-9]*\) .*/\1/p' "$arp_output")
}

at_most()
{
	((${1:-999999} <= $2)) && return
	echo "$1 is more than $2"
	return 1
}

# The taker takes over while COMMAND happens to the leader. takeover NAME LEADER TAKER COMMAND...
takeover()
{
	local name=$1 leader=$2 taker=$3
	shift 3
	probes_start
	"$@"
	check "$name: $taker takes over" wait_for 5 leads "$taker"
	wait_for 3 router_knows "$taker" "$LAB_VIP4"
	check "$name: the router has learnt it" router_knows "$taker" "$LAB_VIP4"
	check "$name: $leader does not lead" wait_for 2 follows "$leader"
	wait_for 5 fetches "$LAB_VIP4"
	probes_stop "$name"
	check "$name: within a second" at_most "$gap_ms" 1000
	check "$name: never two for more than a second" at_most "$two_ms" 1000
}

# --- the stories -------------------------------------------------------------------------------------------------

test_election()
{
	check "the balancer of the highest priority leads" wait_for 10 leads lb
	check "the other does not" follows xlb2
	check "requests arrive" wait_for 5 fetches "$LAB_VIP4"
	check "over IPv6 as well" wait_for 5 fetches "[$LAB_VIP6]"
	check "the router has the leader's address" router_knows lb "$LAB_VIP4"
	check "and the IPv6 one's" router_knows lb "$LAB_VIP6"
	is "status says who leads" "$(lbctl lb status -j | jq -c '[.announce.lan.leads, .announce.vips[].by[]]')" \
		'[true,"neighbor","neighbor"]'
	is "nothing to warn of" "$(lbctl lb status -j | jq -c '[.warnings[] | select(test("neighbor|VRRP"))]')" '[]'
	check "the groups of the VIP are joined" grep -q 'ff02::1:ff00:10' <(ip -n "$LAB_PREFIX-xlb2" -6 maddress show dev eth0)
	is "what is answered is counted" "$(lbctl lb drops -j | jq '[.reasons[] | select(.reason == "neighbor") | .packets > 0] | any')" true
}

test_killed()
{
	takeover "keepalived killed" lb xlb2 kill_keepalived lb
	start_keepalived lb
	check "it comes back" wait_for 10 leads lb
	check "and the other follows" wait_for 3 follows xlb2
}

freeze()
{
	kill -STOP "$(voter lb)"
}

test_frozen()
{
	takeover "keepalived frozen" lb xlb2 freeze
	probes_start
	kill -CONT "$(voter lb)"
	check "thawed: it leads again" wait_for 10 leads lb
	wait_for 3 router_knows lb "$LAB_VIP4"
	probes_stop "thawed"
	check "thawed: never two for more than a second" at_most "$two_ms" 1000
	check "thawed: no gap of more than a second" at_most "$gap_ms" 1000
}

test_without_lbd()
{
	probes_start
	disown "${lbd[lb]}" "${lbd[xlb2]}"
	kill -KILL "${lbd[lb]}" "${lbd[xlb2]}"
	wait_for 5 process_gone "${lbd[lb]}"
	check "both lbd killed: it leads all the same" leads lb
	probes_stop "both lbd killed"
	is "both lbd killed: no connection fails" "$failed" 0
	takeover "no lbd, keepalived killed" lb xlb2 kill_keepalived lb
	start_lbd lb
	start_lbd xlb2
	start_keepalived lb
	check "all are back" wait_for 10 leads lb
}

test_helper_ends()
{
	disown "${neighbor[lb]}"
	kill -KILL "${neighbor[lb]}"
	check "lb-neighbor killed: leadership ends" wait_for 2 follows lb
	check "lbd says so" wait_for 10 helper_missed
	start_neighbor lb
	check "started again: it leads" wait_for 5 leads lb
}

test_cannot_serve()
{
	local backend
	probes_start
	for backend in b1 b2; do
		lbctl lb backend set web "$backend" --state drain --allow-break >/dev/null
		lbctl lb backend set web6 "$backend" --state drain --allow-break >/dev/null
	done
	check "who cannot serve does not lead" wait_for 5 leads xlb2
	check "nor answers" wait_for 2 follows lb
	wait_for 3 router_knows xlb2 "$LAB_VIP4"
	probes_stop "cannot serve"
	check "cannot serve: within a second" at_most "$gap_ms" 1000
	for backend in b1 b2; do
		lbctl lb backend set web "$backend" --reset >/dev/null
		lbctl lb backend set web6 "$backend" --reset >/dev/null
	done
	check "who can again leads again" wait_for 10 leads lb
	wait_for 3 router_knows lb "$LAB_VIP4"
}

test_leave()
{
	probes_start
	lbctl lb leave >/dev/null
	check "leave: the other leads" wait_for 10 leads xlb2
	wait_for 3 router_knows xlb2 "$LAB_VIP4"
	check "leave: it ends" lbctl lb leave --wait --seconds 60
	probes_stop "leave"
	is "leave: no connection fails" "$failed" 0
	lbctl lb join >/dev/null
	check "join: it leads again" wait_for 10 leads lb
	wait_for 3 router_knows lb "$LAB_VIP4"
}

# The bridge's port of a balancer goes to a bridge of its own, and comes back.
test_cut()
{
	ip -n "$LAB_PREFIX-sw" link add br1 mtu 1600 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip -n "$LAB_PREFIX-sw" link set br1 up
	ip -n "$LAB_PREFIX-sw" link set lb master br1
	check "a LAN cut in two has two leaders" wait_for 5 leads xlb2
	check "each in its half" leads lb
	probes_start
	ip -n "$LAB_PREFIX-sw" link set lb master br0
	check "healed: one leads" wait_for 3 follows xlb2
	check "healed: the router learns which" wait_for 5 router_knows lb "$LAB_VIP4"
	probes_stop "healed"
	check "healed: never two for more than a second" at_most "$two_ms" 1000
	ip -n "$LAB_PREFIX-sw" link del br1
}

# Everything on the host dies at once.
crash()
{
	ip -n "$LAB_PREFIX-sw" link set lb down
	disown "${lbd[lb]}" "${neighbor[lb]}" "${keepalived[lb]}"
	kill -KILL "${lbd[lb]}" "${neighbor[lb]}" "${keepalived[lb]}" "$(voter lb)"
}

test_host_crash()
{
	takeover "the host crashes" lb xlb2 crash
	check "over IPv6 as well" wait_for 5 fetches "[$LAB_VIP6]"
	kill_keepalived xlb2
	check "without an election, lbd warns" wait_for 10 election_missed
}

helper_missed()
{
	lbctl lb status -j | jq -e '[.warnings[] | test("lb-neighbor does not run")] | any'
}

election_missed()
{
	lbctl xlb2 status -j | jq -e '[.warnings[] | test("no VRRP advertisement of virtual router 51")] | any'
}

# Another election, which says who leads in its own words.
test_by_hand()
{
	local bpffs=(--bpffs "$LAB_DIR/bpf/xlb2")
	check "lead, by hand" in_ns xlb2 "$LAB_BUILD/lb-neighbor" lead --seconds 2 "${bpffs[@]}"
	check "leads" leads xlb2
	check "for so long" wait_for 3 follows xlb2
	in_ns xlb2 "$LAB_BUILD/lb-neighbor" lead --seconds 60 "${bpffs[@]}"
	check "again" leads xlb2
	check "follow, by hand" in_ns xlb2 "$LAB_BUILD/lb-neighbor" follow "${bpffs[@]}"
	check "follows" follows xlb2
	refuse "leadership has an end" "says for how long" "$LAB_BUILD/lb-neighbor" lead "${bpffs[@]}"
	refuse "where there is no packet path" "no lbd has started there" "$LAB_BUILD/lb-neighbor" lead --seconds 1 \
		--bpffs "$LAB_DIR/bpf/none"
	config '.announce.leader = "always"' >"$TEST_TMP/xlb2.json"
	check "always, by configuration" lbctl xlb2 apply -f "$TEST_TMP/xlb2.json"
	check "leads without an election" wait_for 5 leads xlb2
	config 'del(.services[].announce)' >"$TEST_TMP/xlb2.json"
	check "what is not to be announced any more" lbctl xlb2 apply -f "$TEST_TMP/xlb2.json"
	check "is answered for by nobody" wait_for 5 nothing_known
}

nothing_known()
{
	[[ $(in_ns xlb2 "$LAB_BUILD/lb-neighbor" status -j --bpffs "$LAB_DIR/bpf/xlb2" | jq -c .vips) == '[]' ]]
}

lab_start --arm one --backends 2 --decap none
balancer_add
# The router asks its LAN for the VIPs.
ip -n "$LAB_PREFIX-router" route replace 203.0.113.0/24 dev back
ip -n "$LAB_PREFIX-router" -6 route del 2001:db8:113::/64
ip -n "$LAB_PREFIX-router" -6 route add 2001:db8:113::/64 dev back
for host in lb xlb2; do
	config >"$TEST_TMP/$host.json"
	[[ $host == lb ]] && priority=150 || priority=100
	sed -e "s|/run/lb-neighbor|$TEST_TMP/$host.run|; s|priority 100|priority $priority|" \
		"$TEST_ROOT/configs/keepalived/weir.conf" >"$TEST_TMP/$host.keepalived"
	start_lbd "$host"
	start_neighbor "$host"
	start_keepalived "$host"
done
test_election
test_killed
test_frozen
test_without_lbd
test_helper_ends
test_cannot_serve
test_leave
test_cut
test_host_crash
test_by_hand
done_testing
