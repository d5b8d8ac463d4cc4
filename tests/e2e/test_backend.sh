#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lb-backend alone, with real packets. The lab's two arms (drawn in scripts/lab.sh); the balancer's namespace forwards
# by the kernel's routing, and tests/e2e/encap.bpf.c puts what goes to the VIPs into tunnels to backend 1:
#
#   client -- router -- lb: routing, then encapsulation at tc egress of eth1 == tunnel ==> b1: lb-backend, nginx
#      ^                                                                                    |
#      +------------------------------------ router <---------------------------------------+
#
# test_backend.sh [STORY...]: tcp, formats, ... (at the end of this file); all without arguments.

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

VIPS=(--vip "$LAB_VIP4" --vip "$LAB_VIP6")
ENCAP=$TEST_ROOT/build/bpf/encap.bpf.o

# lb-backend on backend 1.
backend()
{
	in_ns b1 "$LAB_BUILD/lb-backend" "$@" --state-dir "$LAB_DIR/b1"
}

# All that lb-backend may touch on backend 1. Lifetimes of addresses aside, it must be the same after down.
snapshot()
{
	in_ns b1 sysctl -a 2>/dev/null | grep '^net\.ipv[46]\.conf' | grep -v 'stable_secret'
	in_ns b1 ip -d -o address | sed 's/ *valid_lft.*//'
	in_ns b1 ip -o link | sed 's/ id [0-9]*//'
	in_ns b1 ip -4 route show table all
	in_ns b1 ip -6 route show table all
	in_ns b1 tc qdisc
	in_ns b1 tc filter show dev eth0 ingress 2>/dev/null
	find "$LAB_DIR/b1" ! -name '*.new' ! -path '*/tmp/*'
}

# One of: ipip_v4, ipip_v6, gue_v4, gue_v6.
encap_with()
{
	in_ns lb tc filter replace dev eth1 egress prio 1 handle 1 bpf da pinned "$LAB_DIR/bpf/encap/$1"
}

balancer_start()
{
	in_ns lb sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 &&
		in_ns lb ip route add "$LAB_VIP4" via "$(lab_backend4 1)" mtu 1560 &&
		in_ns lb ip -6 route add "$LAB_VIP6" via "$(lab_backend6 1)" mtu 1552 &&
		mkdir "$LAB_DIR/bpf/encap" &&
		bpftool -l prog loadall "$ENCAP" "$LAB_DIR/bpf/encap" &&
		in_ns lb tc qdisc add dev eth1 clsact
}

download_intact()
{
	[[ $(in_ns client curl -gsf --max-time 20 "http://$1/big" | sha256sum) == "$LAB_BIG_SHA256  -" ]]
}

# 4 MB to a socket on the VIP: full-sized packets through the tunnel. upload_intact 4|6 VIP
upload_intact()
{
	local port=$((RANDOM % 1000 + 20000)) pid
	spawn b1 socat -u "TCP$1-LISTEN:$port,reuseaddr" "OPEN:$TEST_TMP/upload,creat,trunc"
	pid=$spawned
	wait_for 5 listening b1 "$port" || return 1
	in_ns client timeout 10 socat -u "OPEN:$TEST_TMP/random" "TCP$1:$2:$port" || return 1
	finish "$pid" 5 && cmp "$TEST_TMP/random" "$TEST_TMP/upload"
}

# Real TCP of both families through the tunnel that is set. traffic NAME
traffic()
{
	check "$1: curl over IPv4" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
	check "$1: curl over IPv6" in_ns client curl -gsf --max-time 5 "http://[$LAB_VIP6]/id"
	check "$1: upload over IPv4" upload_intact 4 "$LAB_VIP4"
	check "$1: upload over IPv6" upload_intact 6 "[$LAB_VIP6]"
}

# up and down with these options leave the host as it was. undo_exact NAME OPTION...
undo_exact()
{
	local name=$1 before after
	shift
	before=$(snapshot)
	check "$name: up" backend up "${VIPS[@]}" --dev eth0 "$@"
	check "$name: status is content" backend status
	check "$name: down" backend down
	after=$(snapshot)
	is "$name: all is as before" "$after" "$before"
}

test_tcp()
{
	local format
	for hook in xdp tc; do
		check "$hook: up" backend up "${VIPS[@]}" --dev eth0 --decap ipip,gue --hook "$hook"
		for format in ipip_v4 ipip_v6 gue_v4 gue_v6; do
			encap_with "$format"
			traffic "$hook, $format"
		done
		check "$hook: download over IPv4" download_intact "$LAB_VIP4"
		check "$hook: download over IPv6" download_intact "[$LAB_VIP6]"
		/usr/bin/python3 -I "$TEST_ROOT/tests/e2e/tunnel_packets.py" "$LAB_PREFIX" "$LAB_DIR/b1" \
			"$LAB_BUILD/lb-backend" "$hook" >"$TEST_TMP/packets" 2>"$TEST_TMP/packets.err" ||
			diag <"$TEST_TMP/packets.err"
		tap_merge <"$TEST_TMP/packets"
		check "$hook: $(grep -c . "$TEST_TMP/packets") packets were tried" \
			test "$(grep -c '^\(not \)\?ok' "$TEST_TMP/packets")" -ge 75
		check "$hook: down" backend down
		refuse "$hook: without lb-backend nothing arrives" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
	done
}

test_formats()
{
	encap_with gue_v4
	check "ipip alone: up" backend up "${VIPS[@]}" --dev eth0
	refuse "ipip alone: GUE is not taken" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
	check "other formats, while up" backend up "${VIPS[@]}" --dev eth0 --decap gue
	check "gue alone: GUE is taken" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
	check "another port, while up" backend up "${VIPS[@]}" --dev eth0 --decap gue --gue-port 6081
	refuse "another port: 6080 is not taken" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
	encap_with ipip_v4
	refuse "gue alone: ipip is not taken" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
	check "generic XDP, while native is up" backend up "${VIPS[@]}" --dev eth0 --xdp-mode generic
	check "generic XDP" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
	check "fewer VIPs, while up" backend up --vip "$LAB_VIP6" --dev eth0
	is "the other VIP is gone from lo" "$(in_ns b1 ip -o -4 address show dev lo | grep -c "$LAB_VIP4")" 0
	refuse "the other VIP takes nothing" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
	check "the VIP that stays takes packets" in_ns client curl -gsf --max-time 5 "http://[$LAB_VIP6]/id"
	check "down" backend down
}

# Tunnels from the balancer's addresses alone.
strangers_dropped()
{
	backend status -j | jq -e ".devices[0].packets.drop_source $1" >/dev/null
}

up_telling()
{
	backend up "$@" >"$TEST_TMP/up"
}

test_from()
{
	local hook format
	encap_with ipip_v4
	for hook in xdp tc; do
		check "$hook, any source: up" up_telling "${VIPS[@]}" --dev eth0 --decap ipip,gue --hook "$hook"
		check "$hook, any source: it warns, and names what to add" grep -q 'warning: .*from any address.*--from' "$TEST_TMP/up"
		check "$hook, any source: status says so" grep -q 'from *any address' <(backend status)
		check "$hook, the balancer's: up" up_telling "${VIPS[@]}" --from 192.0.2.0/24 10.77.0.2 --from fd77::/64 --dev eth0 \
			--decap ipip,gue --hook "$hook"
		refuse "$hook, the balancer's: no warning" "" grep warning "$TEST_TMP/up"
		for format in ipip_v4 ipip_v6 gue_v4 gue_v6; do
			encap_with "$format"
			check "$hook, $format: from the balancer" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
		done
		check "$hook: no stranger was seen" strangers_dropped "== 0"
		is "$hook: status has the list" "$(backend status -j | jq -c .devices[0].from)" '["192.0.2.0/24","10.77.0.2","fd77::/64"]'
		check "$hook, others: up, while up" backend up "${VIPS[@]}" --dev eth0 --decap ipip,gue --hook "$hook" \
			--from 10.77.0.3 fd77:0:0:1::/64
		for format in ipip_v4 ipip_v6 gue_v4 gue_v6; do
			encap_with "$format"
			refuse "$hook, $format: from a stranger" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
		done
		check "$hook: strangers are counted" strangers_dropped ">= 4"
		check "$hook, wider: up, while up" backend up "${VIPS[@]}" --dev eth0 --decap ipip,gue --hook "$hook" --from 10.0.0.0/8
		encap_with ipip_v4
		check "$hook, wider: it is a change of a map alone" strangers_dropped ">= 4"
		check "$hook, wider: from the balancer" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
		encap_with ipip_v6
		refuse "$hook, wider: IPv6 is not named" "" in_ns client curl -sf --max-time 0.3 "http://$LAB_VIP4/id"
		check "$hook, any again: up, while up" backend up "${VIPS[@]}" --dev eth0 --decap ipip,gue --hook "$hook"
		check "$hook, any again: taken" in_ns client curl -sf --max-time 5 "http://$LAB_VIP4/id"
		check "$hook: down" backend down
	done
	undo_exact "with a list of sources" --from 10.77.0.2
}

# Programs change under traffic without a gap: a request in flight all the time.
test_replace_under_load()
{
	local i failed
	encap_with ipip_v4
	backend up "${VIPS[@]}" --dev eth0 >/dev/null
	spawn client bash -c "while :; do curl -sf --max-time 2 http://$LAB_VIP4/id >/dev/null && echo ok || echo failed; done"
	wait_for 5 grep -q ok "$spawned_output" || not_ok "requests arrive before the program is replaced"
	for ((i = 1; i <= 200 && $(grep -c . "$spawned_output") < 100; i++)); do
		backend up "${VIPS[@]}" --dev eth0 --decap ipip,gue
		backend up "${VIPS[@]}" --dev eth0 --hook tc
		backend up "${VIPS[@]}" --dev eth0 --hook xdp
	done >/dev/null
	kill "$spawned"
	wait "$spawned" 2>/dev/null
	failed=$(grep -c failed "$spawned_output")
	is "no request failed while the program was replaced $((3 * i - 3)) times" "$failed" 0
	check "$(grep -c ok "$spawned_output") went well" test "$(grep -c ok "$spawned_output")" -ge 50
	backend down >/dev/null
}

test_undo()
{
	local before after
	undo_exact "native XDP"
	undo_exact "generic XDP" --xdp-mode generic
	undo_exact "tc" --hook tc
	undo_exact "no decapsulation" --decap none
	in_ns b1 sysctl -qw net.ipv4.conf.{all,eth0}.rp_filter=2 net.ipv4.conf.eth0.arp_ignore=8
	undo_exact "other sysctls before"
	in_ns b1 sysctl -qw net.ipv4.conf.{all,eth0}.rp_filter=0 net.ipv4.conf.eth0.arp_ignore=0

	before=$(snapshot)
	backend up "${VIPS[@]}" --dev eth0 >/dev/null
	cp "$LAB_DIR/b1/lb-backend.json" "$TEST_TMP/state"
	after=$(backend up "${VIPS[@]}" --dev eth0)
	is "up again: every line says already, or warns again" "$(grep -vcE 'already|: warning: ' <<<"$after")" 0
	is "up again: the state is the same" "$(<"$LAB_DIR/b1/lb-backend.json")" "$(<"$TEST_TMP/state")"
	backend down >/dev/null
	is "one down undoes two ups" "$(snapshot)" "$before"
	check "down twice" backend down
	is "down twice changes nothing" "$(snapshot)" "$before"
}

# What others did before or after us is not ours to undo.
test_others()
{
	local before
	before=$(snapshot)
	in_ns b1 ip address add "$LAB_VIP4/32" dev lo
	check "a VIP that is on lo already" backend up "${VIPS[@]}" --dev eth0
	in_ns b1 sysctl -qw net.ipv4.conf.eth0.arp_announce=1
	refuse "status tells a sysctl that was changed" "arp_announce = 1, SHOULD BE 2" backend status
	check "down leaves what others did" backend down
	is "the VIP stays" "$(in_ns b1 ip -o address show to "$LAB_VIP4" dev lo | wc -l)" 1
	is "the sysctl stays" "$(in_ns b1 sysctl -n net.ipv4.conf.eth0.arp_announce)" 1
	in_ns b1 ip address del "$LAB_VIP4/32" dev lo
	in_ns b1 sysctl -qw net.ipv4.conf.eth0.arp_announce=0
	is "nothing else stays" "$(snapshot)" "$before"

	backend up "${VIPS[@]}" --dev eth0 --hook tc >/dev/null
	in_ns b1 tc filter add dev eth0 egress prio 7 bpf da object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags 2>/dev/null ||
		in_ns b1 tc filter add dev eth0 egress prio 7 matchall action ok 2>/dev/null ||
		in_ns b1 tc filter add dev eth0 egress prio 7 bpf da pinned "$LAB_DIR/bpf/encap/ipip_v4"
	check "tc: down beside somebody else's filter" backend down
	check "tc: his filter stays" test -n "$(in_ns b1 tc filter show dev eth0 egress)"
	in_ns b1 tc qdisc del dev eth0 clsact
	is "tc: nothing else stays" "$(snapshot)" "$before"

	backend up "${VIPS[@]}" --dev eth0 >/dev/null
	in_ns b1 ip link set dev eth0 xdpdrv off
	in_ns b1 ip address del "$LAB_VIP6/128" dev lo
	refuse "status tells a program and a VIP that are gone" "NOT ATTACHED" backend status
	is "status -j tells too" "$(backend status -j | jq -c '[.ok, .devices[0].attached, .devices[0].vips[].present]')" \
		"[false,false,true,false]"
	check "up again mends both" backend up "${VIPS[@]}" --dev eth0
	check "status is content again" backend status
	in_ns b1 ip link set dev eth0 xdpdrv off
	check "down without its program" backend down
	is "down without its program: all is as before" "$(snapshot)" "$before"
}

test_xdp_taken()
{
	local before
	in_ns b1 ip link set dev eth0 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
	before=$(snapshot)
	refuse "XDP taken, --hook xdp" "XDP of eth0 is taken by program [0-9]+ \(lb_pass\)" \
		backend up "${VIPS[@]}" --dev eth0 --hook xdp
	is "XDP taken, --hook xdp: all is as before" "$(snapshot)" "$before"
	check "XDP taken, --hook auto" backend up "${VIPS[@]}" --dev eth0
	is "XDP taken: by tc" "$(backend status -j | jq -r '.devices[0].hook')" tc
	encap_with ipip_v4
	traffic "XDP taken, ipip_v4"
	check "XDP taken: down" backend down
	is "XDP taken: all is as before, with the other program" "$(snapshot)" "$before"
	in_ns b1 ip link set dev eth0 xdpdrv off
}

# killed_at CALL NUMBER VERB...: lb-backend on backend 1, killed when it enters this system call for the NUMBERth time.
killed_at()
{
	local call=$1 number=$2
	shift 2
	in_ns b1 strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$number" \
		"$LAB_BUILD/lb-backend" "$@" --state-dir "$LAB_DIR/b1" >"$TEST_TMP/killed" 2>&1
	(($? == 137))
}

# crash_everywhere HOOK up|down: killed at each call that changes something; each time down must undo all. $killed counts.
crash_everywhere()
{
	local hook=$1 verb=$2 call number bad=0 options
	killed=0
	for call in write sendmsg sendto bpf rename unlink fsync; do
		for number in {1..100}; do
			options=()
			if [[ $verb == up ]]; then
				options=("${VIPS[@]}" --dev eth0 --hook "$hook")
			else
				backend up "${VIPS[@]}" --dev eth0 --hook "$hook" >/dev/null || bad=$((bad + 1))
			fi
			killed_at "$call" "$number" "$verb" "${options[@]}" || break
			killed=$((killed + 1))
			((killed % 4)) || backend up "${VIPS[@]}" --dev eth0 >/dev/null || bad=$((bad + 1))
			backend down >/dev/null || bad=$((bad + 1))
			[[ $(snapshot) == "$before" ]] || {
				bad=$((bad + 1))
				diag "$hook: $verb killed at $call number $number:"
				diff <(echo "$before") <(snapshot) | diag
			}
		done
		backend down >/dev/null
	done
	return $((bad > 0))
}

test_crash()
{
	local before hook verb killed
	before=$(snapshot)
	for hook in xdp tc; do
		for verb in up down; do
			if crash_everywhere "$hook" "$verb"; then
				ok "$hook: $verb killed at each of $killed calls: down undoes all"
			else
				not_ok "$hook: $verb killed at each of $killed calls: down undoes all"
			fi
			check "$hook: these are more than 25" test "$killed" -gt 25
		done
	done
	rm -f "$LAB_DIR/b1/lb-backend.json.new"
}

test_refusals()
{
	local before empty
	before=$(snapshot)
	refuse "not enough power" "lacks CAP_SYS_ADMIN" \
		in_ns b1 setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$LAB_BUILD/lb-backend" down --state-dir "$LAB_DIR/b1"
	refuse "no such device" "there is no device nope0" backend up "${VIPS[@]}" --dev nope0
	refuse "not an address" "not an IPv4 or IPv6 address" backend up --vip 203.0.113.300 --dev eth0
	refuse "no VIP" "up needs --vip" backend up --dev eth0
	refuse "no device" "up needs --dev" backend up "${VIPS[@]}"
	refuse "the host's own IPv4 address" "10.77.0.11 is an address of eth0" backend up --vip 10.77.0.11 --dev eth0
	refuse "the host's own IPv6 address" "fd77::11 is an address of eth0" backend up --vip fd77::11 --dev eth0
	refuse "a loopback address" "cannot be a VIP" backend up --vip 127.0.0.1 --dev eth0
	refuse "a multicast address" "cannot be a VIP" backend up --vip ff02::1 --dev eth0
	refuse "not a prefix" "--from 10.0.0.0/33: not an IPv4 or IPv6 address or prefix" backend up "${VIPS[@]}" --dev eth0 --from 10.0.0.0/33
	refuse "bits behind a prefix" "--from 10.0.0.1/8: bits behind the prefix" backend up "${VIPS[@]}" --dev eth0 --from 10.0.0.1/8
	refuse "an unknown format" "ipip, gue" backend up "${VIPS[@]}" --dev eth0 --decap gre
	refuse "an unknown hook" "xdp, tc or auto" backend up "${VIPS[@]}" --dev eth0 --hook xpd
	refuse "a port out of range" "1 to 65535" backend up "${VIPS[@]}" --dev eth0 --gue-port 65536
	refuse "a misspelt option" "did you mean --decap" backend up "${VIPS[@]}" --dev eth0 --decapp ipip
	refuse "a misspelt verb" "did you mean status" backend statsu
	refuse "not root" "must be root" in_ns b1 setpriv --reuid 65534 --clear-groups \
		"$LAB_BUILD/lb-backend" status --state-dir "$LAB_DIR/b1"
	in_ns b1 sysctl -qw net.ipv6.conf.lo.disable_ipv6=1
	refuse "IPv6 is off" "IPv6 is off on lo" backend up "${VIPS[@]}" --dev eth0
	in_ns b1 sysctl -qw net.ipv6.conf.lo.disable_ipv6=0
	is "what was refused changed nothing" "$(snapshot)" "$before"

	backend up "${VIPS[@]}" --dev eth0 >/dev/null
	refuse "another network namespace's state" "another network namespace" \
		in_ns b2 "$LAB_BUILD/lb-backend" status --state-dir "$LAB_DIR/b1"
	backend down >/dev/null
	echo '{"version": 99}' >"$LAB_DIR/b1/lb-backend.json"
	refuse "a state file of another version" "is not a state file of this lb-backend" backend down
	empty=$(<"$LAB_DIR/b1/lb-backend.json")
	is "it is left alone" "$empty" '{"version": 99}'
	rm "$LAB_DIR/b1/lb-backend.json"
	refuse "status with nothing up" "nothing is up" backend status
}

# A second device: what both need stays until the last one goes.
test_two_devices()
{
	local before
	in_ns b1 ip link add second type veth peer name far
	before=$(snapshot)
	check "two devices: first" backend up "${VIPS[@]}" --dev eth0
	check "two devices: second" backend up --vip "$LAB_VIP4" 203.0.113.11 --dev second
	check "two devices: first goes" backend down --dev eth0
	is "two devices: the VIP of both stays, the other goes" \
		"$(in_ns b1 ip -o address show dev lo | grep -oE '203.0.113.1[01]|2001:db8[:0-9]+' | sort | xargs)" \
		"203.0.113.10 203.0.113.11"
	is "two devices: global sysctls stay" "$(in_ns b1 sysctl -n net.ipv4.conf.all.arp_ignore)" 1
	check "two devices: status" backend status
	check "two devices: second goes" backend down --dev second
	is "two devices: all is as before" "$(snapshot)" "$before"
	backend up "${VIPS[@]}" --dev second >/dev/null
	in_ns b1 ip link del second
	refuse "a device that went away: status" "second: GONE" backend status
	check "a device that went away: down" backend down
}

# Whether the tunnel brings requests over both families. through
through()
{
	in_ns client curl -sf --max-time 1 "http://$LAB_VIP4/id" >/dev/null &&
		in_ns client curl -gsf --max-time 1 "http://[$LAB_VIP6]/id" >/dev/null
}

# What others undo comes back, and is told: nobody else on the host would notice.
test_watch()
{
	local before watcher
	before=$(snapshot)
	encap_with ipip_v4
	spawn b1 "$LAB_BUILD/lb-backend" watch "${VIPS[@]}" --dev eth0 --state-dir "$LAB_DIR/b1"
	watcher=$spawned
	check "watch: what up does is done" wait_for 10 through
	in_ns b1 ip address del "$LAB_VIP4/32" dev lo
	check "watch: a VIP that was deleted is back" wait_for 10 through
	check "watch: it says so" wait_for 5 grep -q "lo: $LAB_VIP4 added" "$spawned_output"
	in_ns b1 ip link set lo down
	in_ns b1 ip link set lo up
	check "watch: the IPv6 VIP survives lo going down and up" wait_for 10 through
	in_ns b1 ip link set eth0 xdp off
	check "watch: a program that was taken off is back" wait_for 10 through
	in_ns b1 sysctl -qw net.ipv4.conf.eth0.arp_announce=0
	check "watch: a sysctl that nobody tells of is back" wait_for 10 \
		in_ns b1 grep -qx 2 /proc/sys/net/ipv4/conf/eth0/arp_announce
	kill "$watcher"
	finish "$watcher" 5
	is "watch: it ends when told to" $? 0
	check "watch: packets flow on without it" through
	check "watch: down undoes it" backend down
	is "watch: all is as before" "$(snapshot)" "$before"
}

# Tunnels may end only at addresses that the host has; one that it gets later counts as well. Last: the host's own
# address moves.
test_watch_addresses()
{
	encap_with ipip_v4
	in_ns b1 sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
	in_ns b1 ip address add 10.77.0.98/24 dev eth0
	in_ns b1 ip address del "$(lab_backend4 1)/24" dev eth0
	spawn b1 "$LAB_BUILD/lb-backend" watch "${VIPS[@]}" --dev eth0 --state-dir "$LAB_DIR/b1"
	check "late address: up without it" wait_for 10 grep -q "lo: $LAB_VIP6 added" "$spawned_output"
	in_ns b1 ip address add "$(lab_backend4 1)/24" dev eth0
	check "late address: it is a tunnel's end" wait_for 10 through
	kill "$spawned"
	finish "$spawned" 5
	is "late address: it ends when told to" $? 0
	check "late address: down" backend down
}

# A node of Kubernetes: the VIPs are known to somebody else (here on a device of its own, as kube-proxy in IPVS mode has them), and
# nothing but the decapsulation is ours. Prefixes stand for all their addresses.
test_decap_only()
{
	local before between after
	encap_with ipip_v4
	in_ns b1 ip link add kube-ipvs0 type bridge
	in_ns b1 ip address add "$LAB_VIP4/32" dev kube-ipvs0
	in_ns b1 ip address add "$LAB_VIP6/128" dev kube-ipvs0 nodad
	in_ns b1 ip link set kube-ipvs0 up
	in_ns b1 sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
	before=$(snapshot)
	refuse "decap only: not decapsulated, not reached" "" through
	refuse "decap only: without it such an address is refused" "is an address of kube-ipvs0" backend up --vip "$LAB_VIP4" --dev eth0
	check "decap only: up" backend up --decap-only --vip "${LAB_VIP4%.*}.0/24" "$LAB_VIP6/128" --dev eth0
	check "decap only: the VIP is reached" through
	check "decap only: status finds all as it should be" backend status
	between=$(in_ns b1 ip -o address show dev lo)
	is "decap only: nothing is added to lo" "$(grep -c "${LAB_VIP4%.*}" <<<"$between")" 0
	in_ns b1 sysctl -qw net.ipv6.conf.lo.disable_ipv6=1
	check "decap only: up where IPv6 is off" backend up --decap-only --vip "$LAB_VIP4" "$LAB_VIP6" --dev eth0
	in_ns b1 sysctl -qw net.ipv6.conf.lo.disable_ipv6=0
	refuse "decap only: too many addresses" "more than 4096" backend up --decap-only --vip 10.0.0.0/8 --dev eth0
	check "decap only: down" backend down
	after=$(snapshot)
	is "decap only: the host is as it was" "$after" "$before"
	in_ns b1 ip link del kube-ipvs0
}

[[ -e $ENCAP ]] || make -s -C "$TEST_ROOT" build/bpf/encap.bpf.o build/lb-backend >/dev/null
lab_start --backends 2 --decap off
head -c 4000000 /dev/urandom >"$TEST_TMP/random"
backend down >/dev/null 2>&1 # makes the lock, which stays
check "the balancer of this test comes up" balancer_start

# The stories named by the arguments, or all.
(($#)) || set -- tcp formats from replace_under_load undo others xdp_taken crash refusals two_devices watch watch_addresses decap_only
for story; do
	"test_$story"
done
done_testing
