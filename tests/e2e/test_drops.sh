#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every packet is accounted for, in the lab's two arms (scripts/lab.sh). What is dropped shows up under its reason with
# an example of it; what the egress interface refuses behind the packet path is counted as well.

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
		$web + { "name": "narrow", "port": 84 } ]' >"$LBD_CONFIG"

# The router puts a hand-made frame on the wire; its bytes are in $frame. inject KIND [COUNT]
inject()
{
	frame=$(/usr/bin/python3 "$TEST_ROOT/tests/e2e/lying_packets.py" "$LAB_PREFIX" "$@")
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

# --- reasons and examples --------------------------------------------------------------------------------------

act "it starts" lbd_start
wait_for 5 answers GET /v1/backends '[.backends[] | select(.service != "away") | .next_hop.resolved] | all'
check "packets flow" fetch
check "nothing was dropped yet, and there is no example" answers GET /v1/drops \
	'[.reasons[] | select(.action == "drop")] | all(.packets == 0 and .example == null)'
check "a reason for passing has no example" answers GET /v1/drops \
	'[.reasons[] | select(.action == "pass") | .example == null] | all'

provoke ip_header "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [S], IP length 400 in a frame of 54"
provoke tcp_header "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [S], data offset 2"
provoke udp_header "bytes: UDP 198.51.100.2:40000 > 203.0.113.10:53, length 4"
provoke no_backend "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:81 [S]"
provoke next_hop "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:83 [S]"
provoke ttl "bytes: TCP 198.51.100.2:40000 > 203.0.113.10:80 [P.], TTL 1"
provoke icmp_mtu "bytes: ICMP 10.9.9.9 > 203.0.113.10, fragmentation needed, MTU 200"
provoke fragment_unknown "bytes: protocol 6 198.51.100.2 > 203.0.113.10, fragment at 800"
provoke echo_limit "bytes: ICMP 198.51.100.2 > 203.0.113.10, echo request" 4000
in_ns lb ip link set dev eth1 mtu 1400
check "a narrower link is noticed" wait_for 5 answers GET /v1/backends \
	'[.backends[] | select(.service == "narrow") | .next_hop.mtu == 1400] | all'
provoke too_big "bytes: TCP 0.1.2.3:40000 > 203.0.113.10:84 [.]"
in_ns lb ip link set dev eth1 mtu 1600

check "-v shows the bytes" grep -qF "0000  ${frame:0:2} ${frame:2:2} ${frame:4:2} ${frame:6:2}" <("$LBCTL" drops -v)
check "with -j they are in hexadecimal" jq -e '[.reasons[].example.hex // empty | test("^[0-9a-f]+$")] | all and length > 8' \
	<("$LBCTL" -j drops)
check "rates and examples go together" grep -q "PER S" <("$LBCTL" drops --interval 0.2 --count 2)
check "every packet is accounted for" conserved
act "it stops" lbd_stop TERM
act "it starts again" lbd_start
check "the examples are still there" answers GET /v1/drops \
	'[.reasons[] | select(.packets > 0 and .action == "drop") | .example != null] | all and length >= 10'

# --- lost behind the packet path -------------------------------------------------------------------------------

wait_for 5 answers GET /v1/backends '[.backends[] | select(.service == "web") | .next_hop.resolved] | all'
check "packets flow again" fetch
check "what was redirected was sent" redirects_are '. == 0'
check "nobody speaks of losses" test -z "$("$LBCTL" status | grep -i refused)"

# A veth whose far end has neither a program nor GRO takes no frames from XDP.
in_ns sw ip link set dev lb xdp off
inject flood 10
check "what the egress interface refuses is counted as lost" redirects_are '. == 10'
in_ns sw ip link set dev lb xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
check "the status tells" grep -q "10 of the redirected packets were refused" <("$LBCTL" status)
check "lbctl drops tells" grep -qE "eth1 +refused 10 of [0-9]+" <("$LBCTL" drops)
check "lbctl -j drops tells of the interface" jq -e \
	'.redirects | .counted and (.interfaces[] | .interface == "eth1" and .lost == 10 and .sent > 0)' <("$LBCTL" -j drops)
check "the metrics tell" grep -qE '^weir_redirect_lost_packets_total\{interface="eth1",ifindex="[0-9]+"\} 10$' \
	<(in_ns lb curl -s http://127.0.0.1:9650/metrics)

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
wait_for 5 answers GET /v1/backends '[.backends[] | select(.service == "web") | .next_hop.resolved] | all'
check "packets flow all the same" fetch
act "it stops" lbd_stop TERM
check "--detach ends well" lbd_once --detach
check "no pin is left" test ! -e "$LBD_BPFFS"

done_testing
