#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A service that lets some sources in only, from the file to the packets: connections of others, also those that there are,
# are dropped under a reason of their own, which explain, drops, capture and the metrics tell; checks through the packet
# path are not asked; the next agent finds it as it was.
# beside: labs

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=${LBCTL:-$LAB_BUILD/lbctl}
CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}
export LBCTL_SOCKET

# with RANGES4 RANGES6: the configuration with these (JSON) lists of prefixes.
with()
{
	lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } | .api = { "metrics": "127.0.0.1:9650" } |
		.health = { "check": { "kind": "http", "path": "/id", "interval_ms": 400, "timeout_ms": 400 } } |
		.services[0].source_ranges = ('"$1"' | map({ prefix: . })) |
		.services[1].source_ranges = ('"$2"' | map({ prefix: . }))'
}

apply()
{
	with "$@" >"$LBD_CONFIG"
	"$LBCTL" apply -f "$LBD_CONFIG" --yes
}

# Packets that were dropped for their source.
refused()
{
	api GET /v1/drops | jq '[.reasons[] | select(.reason == "source") | .packets] | add // 0'
}

refused_more_than()
{
	[[ $(refused) -gt $1 ]]
}

is_refused()
{
	! fetch "$@"
}

healthy()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok" and .check.last_age_s < 2 and .breaker.state == "closed"] | all'
}

# explained CLIENT VIP: what becomes of a SYN.
explained()
{
	"$LBCTL" -j explain tcp "$1:40000" "$2:80" --syn | jq -r .reason
}

lab_start --arm two --backends 3
lbd_init
LBCTL_SOCKET=$LBD_SOCKET
client4=$(in_ns client ip -j route get "$LAB_VIP4" | jq -r '.[0].prefsrc')
client6=$(in_ns client ip -j route get "$LAB_VIP6" | jq -r '.[0].prefsrc')
with "[\"$client4\", \"192.0.2.0/24\"]" "[\"2001:db8:aaaa::/48\", \"$client6\"]" >"$LBD_CONFIG"
act "an agent starts" lbd_start
spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
check "checks come through, though the balancer is in no range" wait_for 10 healthy
check "who is in a range is served, over IPv4" fetch
check "over IPv6" fetch "[$LAB_VIP6]"
is "nothing was dropped for its source" "$(refused)" 0
check "the service says whom it lets in" answers GET /v1/services/web ".source_ranges == [\"$client4\", \"192.0.2.0/24\"]"
check "and so does lbctl" grep -qE "^sources +$client4, 192.0.2.0/24\$" <("$LBCTL" service show web)

# A connection that is there when its client falls out of the ranges.
mkfifo "$TEST_TMP/say"
# shellcheck disable=SC2016
spawn client bash -c 'exec 3<>"/dev/tcp/$1/80" && cat "$2" >&3 && timeout 3 cat <&3' talk "$LAB_VIP4" "$TEST_TMP/say"
talk=$spawned talk_output=$spawned_output
exec 9>"$TEST_TMP/say"
connected()
{
	in_ns client ss -Hnt state established dst "$LAB_VIP4" | grep -q .
}
check "a connection" wait_for 5 connected
check "the plan says that connections are lost" grep -q "source_ranges let in less" <(
	with '["192.0.2.0/24"]' '["2001:db8:aaaa::/48"]' >"$TEST_TMP/less.json"
	"$LBCTL" apply -f "$TEST_TMP/less.json" --dry-run 2>&1)
act "others are let in" apply '["192.0.2.0/24"]' '["2001:db8:aaaa::/48"]'
check "the client is not, over IPv4" is_refused
check "over IPv6" is_refused "[$LAB_VIP6]"
seen=$(refused)
check "that is counted" test "$seen" -gt 0
printf 'GET /id HTTP/1.0\r\n\r\n' >&9
exec 9>&-
check "nor its old connection" wait_for 5 refused_more_than "$seen"
wait_for 10 process_gone "$talk"
is "of which nothing came back" "$(grep -c HTTP "$talk_output")" 0
check "checks go on" healthy
is "explain says why" "$(explained "$client4" "$LAB_VIP4")" source
is "over IPv6" "$(explained "[$client6]" "[$LAB_VIP6]")" source
is "and of others that they are served" "$(explained 192.0.2.7 "$LAB_VIP4")" null
check "drops have an example" answers GET /v1/drops '.reasons[] | select(.reason == "source") | .example.hex | length > 0'
check "metrics tell" grep -qE '^weir_reason_packets_total\{.*reason="source".*\} [1-9]' <(in_ns lb curl -s http://127.0.0.1:9650/metrics)
check "every packet is accounted for" answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'

act "the agent is killed" lbd_stop KILL
check "nothing changes while none runs" is_refused
act "another one starts" lbd_start
check "and has nothing to change" answers GET /v1/status '.generation == 2'
check "the client stays out" is_refused
act "everybody is let in" apply '[]' '["::/0"]'
check "the client is served, over IPv4" fetch
check "over IPv6" fetch "[$LAB_VIP6]"
act "it stops" lbd_stop TERM
check "--detach ends well" lbd_once --detach

done_testing
