#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every packet is accounted for, in the lab's two arms (scripts/lab.sh). What is dropped shows up under its reason with
# an example of it; what the egress interface refuses behind the packet path is counted as well.
# beside: labs

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=${LBCTL:-$LAB_BUILD/lbctl}

lab_start --arm two --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET
# shellcheck disable=SC2016
lbd_config '(.services[0].backends) as $b | .services[0] as $web
	| .services += [
		$web + { "name": "dns", "protocol": "udp", "port": 53 },
		$web + { "name": "dead", "port": 81, "fragments": "drop", "backends": [ $b[0] + { "state": "down" } ] },
		$web + { "name": "away", "port": 83, "backends": [ $b[0] + { "address": "10.77.0.99" } ] },
		$web + { "name": "narrow", "port": 84 },
		$web + { "name": "narrow6", "vip": "2001:db8:113::10", "port": 84, "forward": "gue" } ]' >"$LBD_CONFIG"

# The router puts a hand-made frame on the wire; its bytes are in $frame. inject KIND [COUNT]
inject()
{
	frame=$(/usr/bin/python3 "$TEST_ROOT/tests/e2e/bad_headers.py" "$LAB_PREFIX" "$@")
}

# shown REASON LINE: the reason occurred, its example is the beginning of $frame, lbctl decodes it as LINE.
shown()
{
	local text
	answers GET /v1/drops ".reasons[] | select(.reason == \"$1\") | .packets > 0 and .example.hex == \"${frame:0:256}\"
		and .example.frame_bytes == ${#frame} / 2 and .example.age_s < 30" || return 1
	text=$("$LBCTL" drops)
	grep -qF -- "$2" <<<"$text" || {
		echo "not there: $2" "$text"
		return 1
	}
}

# provoke REASON LINE [COUNT]
provoke()
{
	inject "$1" "${3:-1}"
	check "a packet dropped for $1 is shown" wait_for 3 shown "$1" "$2"
}

conserved()
{
	answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'
}

# All that was redirected was sent or lost, and so many of them were lost: redirects_are FILTER
redirects_are()
{
	local totals redirects
	totals=$(api GET /v1/stats | jq -c .totals)
	redirects=$(api GET /v1/drops | jq -c .redirects)
	jq -e -n --argjson totals "$totals" --argjson redirects "$redirects" "(\$totals.redirect_lost | $1) and
		(\$redirects.interfaces | map(.sent + .lost) | add) == \$totals.redirect" >/dev/null || {
		echo "totals: $totals, redirects: $redirects"
		return 1
	}
}

# What XDP_TX put out was refused as often as the driver says: sent_back_is FILTER
sent_back_is()
{
	local totals sent_back errors
	totals=$(api GET /v1/stats | jq -c .totals)
	sent_back=$(api GET /v1/drops | jq -c .sent_back)
	errors=$(in_ns lb ethtool -S eth0 | awk '$1 ~ /^rx_queue_[0-9]+_xdp_tx_errors:$/ { sum += $2 } END { print sum + 0 }')
	jq -e -n --argjson totals "$totals" --argjson sent_back "$sent_back" --argjson errors "$errors" \
		"(\$totals.tx_lost | $1) and \$totals.tx_lost == \$errors and
		(\$sent_back.interfaces | map(.sent + .lost) | add // 0) == \$totals.tx" >/dev/null || {
		echo "totals: $totals, sent_back: $sent_back, xdp_tx_errors: $errors"
		return 1
	}
}

# --- reasons and examples --------------------------------------------------------------------------------------

act "it starts" lbd_start
wait_for 5 answers GET /v1/backends '[.backends[] | select(.service != "away") | .nexthop.resolved] | all'
check "packets flow" fetch
check "nothing was dropped yet, and there is no example" answers GET /v1/drops \
	'[.reasons[] | select(.action == "drop")] | all(.packets == 0 and .example == null)'
check "a reason for passing has no example" answers GET /v1/drops \
	'[.reasons[] | select(.action == "pass") | .example == null] | all'

provoke ip_header "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [S], IP length 400 in a frame of 54"
provoke tcp_header "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [S], data offset 2"
provoke udp_header "bytes: UDP 198.51.100.2:40000 > 203.0.113.10:53, length 4"
provoke no_backend "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:81 [S]"
provoke nexthop "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:83 [S]"
provoke ttl "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [R], TTL 1"
provoke icmp_mtu "bytes: ICMP 10.9.9.9 > 203.0.113.10, fragmentation needed, MTU 200"
provoke fragment_unknown "bytes: protocol 6 198.51.100.2 > 203.0.113.10, fragment at 800"
provoke echo_limit "bytes: ICMP 198.51.100.2 > 203.0.113.10, echo request" 4000
in_ns lb ip link set dev eth1 mtu 1400
check "a narrower link is noticed" wait_for 5 answers GET /v1/backends \
	'[.backends[] | select(.service == "narrow") | .nexthop.mtu == 1400] | all'
provoke too_big "bytes: TCP 0.1.2.3:40000 > 203.0.113.10:84 [.]"
check "IPv6 has room enough" answers GET /v1/status '[.warnings[] | select(test("IPv6"))] == []'
in_ns lb ip link set dev eth1 mtu 1300
check "what is too narrow for IPv6 is told of" wait_for 5 answers GET /v1/status '[.warnings[]
	| select(startswith("the way to narrow6/b1 carries packets of 1272 bytes, IPv6 needs 1280"))] | length == 1'
check "and nothing of IPv4" answers GET /v1/status '[.warnings[] | select(test("way to (web|dns|narrow)/"))] == []'
in_ns lb ip link set dev eth1 mtu 1600

check "-v shows the bytes" grep -qF "0000  ${frame:0:2} ${frame:2:2} ${frame:4:2} ${frame:6:2}" <("$LBCTL" drops -v)
check "with -j they are in hexadecimal" jq -e '[.reasons[].example.hex // empty | test("^[0-9a-f]+$")] | all and length > 8' \
	<("$LBCTL" -j drops)
check "rates and examples go together" grep -q "PER S" <("$LBCTL" drops --interval 0.2 --count 2)
check "every packet is accounted for" conserved

# Of one service: what is dropped while it is looked at, and of no other.
"$LBCTL" -j drops dead --seconds 3 >"$TEST_TMP/dead.json" &
looking=$!
check "a service is looked at" wait_for 5 answers GET /v1/status '.captures == 1'
inject no_backend 7
inject nexthop 5
wait "$looking"
check "its drops are told by reason, and no other's" jq -e '.lost == 0 and .packets == 7
	and .reasons == [ { reason: "no_backend", packets: 7 } ]' "$TEST_TMP/dead.json"
act "it stops" lbd_stop TERM
act "it starts again" lbd_start
check "the examples are still there" answers GET /v1/drops \
	'[.reasons[] | select(.packets > 0 and .action == "drop") | .example != null] | all and length >= 10'

# --- lost behind the packet path -------------------------------------------------------------------------------

wait_for 5 answers GET /v1/backends '[.backends[] | select(.service == "web") | .nexthop.resolved] | all'
check "packets flow again" fetch
check "what was redirected was sent" redirects_are '. == 0'
check "nobody speaks of losses" test -z "$("$LBCTL" status | grep -i refused)"

# flood_refused N: so many packets are redirected to a veth whose far end has neither a program nor GRO, and so takes no
# frames from XDP. lbd would see that and send nothing there: it stands still meanwhile.
flood_refused()
{
	kill -STOP "$lbd_pid"
	in_ns sw ip link set dev lb xdp off
	inject flood "$1"
	in_ns sw ip link set dev lb xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
	kill -CONT "$lbd_pid"
}

flood_refused 10
check "what the egress interface refuses is counted as lost" redirects_are '. == 10'
check "the status tells" grep -q "10 of the redirected packets were refused" <("$LBCTL" status)
check "lbctl drops tells" grep -qE "eth1 +refused 10 of [0-9]+" <("$LBCTL" drops)
check "lbctl -j drops tells of the interface" jq -e \
	'.redirects | .counted and (.interfaces[] | .interface == "eth1" and .lost == 10 and .sent > 0)' <("$LBCTL" -j drops)
check "the metrics tell" grep -qE '^weir_redirect_lost_packets_total\{interface="eth1",ifindex="[0-9]+"\} 10$' \
	<(in_ns lb curl -s http://127.0.0.1:9650/metrics)

# The same on the way back: echo replies leave by the interface that the requests came in on.
check "what was sent back out was taken" sent_back_is '. == 0'
in_ns router ip link set dev front xdp off
inject echoes 7
check "what the interface refuses to send back out is counted as lost" sent_back_is '. == 7'
# With GRO alone the far end has a queue that nobody empties.
in_ns router ethtool -K front gro on
for _ in {1..4}; do inject echoes 400; done # at once no more than an eighth of a second's answers
check "a full queue as well" sent_back_is '. > 7'
lost_back=$(api GET /v1/stats | jq .totals.tx_lost)
in_ns router ethtool -K front gro off
in_ns router ip link set dev front xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
check "the status tells" grep -q "$lost_back of the packets sent back out were refused" <("$LBCTL" status)
check "lbctl drops tells" grep -A1 "lost behind the packet path: sent back out by" <("$LBCTL" drops)
check "of the interface" grep -qE "^  eth0 +refused $lost_back of [0-9.]+" <("$LBCTL" drops)
check "the metrics tell" grep -qE "^weir_tx_lost_packets_total\{interface=\"eth0\",ifindex=\"[0-9]+\"\} $lost_back\$" \
	<(in_ns lb curl -s http://127.0.0.1:9650/metrics)
check "redirected ones are counted apart" redirects_are '. == 10'

# Nobody is there to see the link go down: packets are redirected on, into nowhere.
program=$(bpftool -j link show pinned "$LBD_BPFFS/lb_redirect_xmit" | jq .prog_id)
lbd_stop KILL
in_ns sw ip link set dev lb down
inject flood 25
in_ns sw ip link set dev lb up
act "it starts after a kill" lbd_start
check "what was lost without an agent was counted" redirects_are '. == 35'
check "the counting programs were kept" test "$program" = \
	"$(bpftool -j link show pinned "$LBD_BPFFS/lb_redirect_xmit" | jq .prog_id)"
check "every packet is still accounted for" conserved

# --- another version, and a kernel that refuses ----------------------------------------------------------------

act "it stops" lbd_stop TERM
: >"$LBD_STATE/redirect"
act "it starts where another version counted" lbd_start
check "it replaced the counting programs" test "$program" != \
	"$(bpftool -j link show pinned "$LBD_BPFFS/lb_redirect_xmit" | jq .prog_id)"
check "and kept what they had counted" redirects_are '. == 35'
check "of both ways" sent_back_is ". == $lost_back"
act "it stops" lbd_stop TERM

# A kernel without one of the tracepoints of what is sent back out: losses on the other way are still counted.
: >"$LBD_STATE/redirect"
sed 's/btf_trace_xdp_bulk_tx/btf_trace_xdp_no_bulk/' /sys/kernel/btf/vmlinux >"$TEST_TMP/vmlinux"
# shellcheck disable=SC2016
spawn lb unshare -m sh -c 'mount --bind "$0" /sys/kernel/btf/vmlinux && exec "$@"' "$TEST_TMP/vmlinux" \
	"$LBD" "${LBD_ARGUMENTS[@]}"
# shellcheck disable=SC2154 # set by spawn
lbd_pid=$spawned lbd_log=$spawned_output
check "it starts where a tracepoint is missing" wait_for 15 lbd_serves
check "it says what is not counted, and what is" answers GET /v1/status '.redirects.counted and
	(.sent_back | (.counted | not) and (.why | test("lb_redirect_tx")))'
check "lbctl status says so" grep -q "packets sent back out that are lost are not counted" <("$LBCTL" status)
check "lbctl drops says so" grep -q "sent back out by an interface, is not counted" <("$LBCTL" drops)
wait_for 5 answers GET /v1/backends '[.backends[] | select(.service == "web") | .nexthop.resolved] | all'
flood_refused 5
check "redirected packets that are lost are counted all the same" redirects_are '. == 40'
act "it stops" lbd_stop TERM
act "it starts where all are there again" lbd_start
check "all is counted again" answers GET /v1/status '.redirects.counted and .sent_back.counted'
act "it stops" lbd_stop TERM

# A kernel that does not describe itself (BTF): nobody can tell where its structures have what is to be read.
: >"$LBD_STATE/redirect"
# shellcheck disable=SC2016
spawn lb unshare -m sh -c 'mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$@"' lbd "$LBD" "${LBD_ARGUMENTS[@]}"
# shellcheck disable=SC2154 # set by spawn
lbd_pid=$spawned lbd_log=$spawned_output
check "it starts on a kernel without BTF" wait_for 15 lbd_serves
check "it says that losses are not counted" answers GET /v1/status \
	'.redirects | (.counted | not) and (.why | test("refuses the tracepoints"))'
check "lbctl status says so" grep -q "are not counted" <("$LBCTL" status)
check "lbctl drops says so" grep -q "is not counted" <("$LBCTL" drops)
wait_for 5 answers GET /v1/backends '[.backends[] | select(.service == "web") | .nexthop.resolved] | all'
check "packets flow all the same" fetch
act "it stops" lbd_stop TERM
check "--detach ends well" lbd_once --detach
check "no pin is left" test ! -e "$LBD_BPFFS"

done_testing
