#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draining that one can see end, with real connections: it does not end while one lives, it ends when none does, and
# backends that are no longer configured do not stay for ever. One arm (scripts/lab.sh), short timeouts.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=$LAB_BUILD/lbctl
lab_start --arm one --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET

# drain_config [JQ FILTER]: the services of lbd_config and one of UDP, "chat", that forget soon.
drain_config()
{
	lbd_config '.services += [.services[0] | .name = "chat" | .protocol = "udp" | .port = 7001 | .learning_window_s = 1]
		| .services[].idle_timeout_s = 3 | .services[].ring_size = 1024 | .api.metrics = "127.0.0.1:9909"
		| '"${1:-.}"
}

clients()
{
	touch "$TEST_TMP/$1"
	spawn client /usr/bin/python3 "$TEST_ROOT/tests/e2e/drain_clients.py" "$1" "$LAB_VIP4" "$2" "$TEST_TMP/$1"
}

# backend SERVICE NAME FILTER: true of a backend.
backend()
{
	answers GET "/v1/services/$1" ".backends[] | select(.name == \"$2\") | $3"
}

gone()
{
	answers GET /v1/services/chat "[.backends[] | select(.name == \"$1\")] == []"
}

event_says()
{
	answers GET /v1/events "[.events[] | select(.kind == \"$1\") | .message] | any(test(\"$2\"))"
}

drain_config >"$LBD_CONFIG"
act "it starts" lbd_start
check "every next hop is resolved" wait_for 5 lbd_resolved

# --- a connection lives ------------------------------------------------------------------------------------------

clients tcp 80
tcp_pid=$spawned
check "a connection lives" wait_for 5 test -s "$TEST_TMP/tcp.tcp"
mine=$(head -n 1 "$TEST_TMP/tcp.tcp")
check "nobody drains" backend web "$mine" '.draining == null'
refuse "its backend has not drained while it lives" "web/$mine has not drained within .* (slots|flows) are left" \
	"$LBCTL" backend drain web "$mine" --wait --timeout 6
check "it tells of packets in the last interval" wait_for 5 backend web "$mine" \
	'.draining | .packets > 0 and .last_packet_s <= 2 and .for_s >= 4 and (.drained | not) and .limit_s == 86400'
check "so do people's lists" grep -q "web/$mine drains for" <("$LBCTL" backend list web)
is "the connection lives still" "$(cat "$TEST_TMP/tcp.tcp")" "$mine"
check "the metric says that it has not drained" grep -q "^weir_backend_drained{service=\"web\",backend=\"$mine\"} 0" \
	<(in_ns lb curl -s http://127.0.0.1:9909/metrics/backends)
rm "$TEST_TMP/tcp"
finish "$tcp_pid" 5
check "when it has ended, the backend drains" "$LBCTL" backend drain web "$mine" --wait --timeout 20
check "nothing is left" backend web "$mine" '.slots == 0 and .slots_base == 0 and .entries == 0 and .draining.drained'
check "an event tells, once" wait_for 3 event_says drained "service=web backend=$mine let_go=no"
check "and the metric" grep -q "^weir_backend_drained{service=\"web\",backend=\"$mine\"} 1" \
	<(in_ns lb curl -s http://127.0.0.1:9909/metrics/backends)
check "it is taken back" "$LBCTL" backend set web "$mine" --reset
check "and does not drain any more" backend web "$mine" '.draining == null and .state == "active"'

# --- a host, in every service --------------------------------------------------------------------------------------

host=$(lab_backend4 2)
check "a host is drained" "$LBCTL" drain "$host" --wait --timeout 20 --reason "new disk"
check "in every service that has it" answers GET /v1/backends \
	"[.backends[] | select(.address == \"$host\") | .state == \"drain\" and .draining.drained] | length == 2 and all"
check "and in no other" answers GET /v1/backends '[.backends[] | select(.state == "drain")] | length == 2'
check "undone" "$LBCTL" drain "$host" --undo
check "all are active" answers GET /v1/backends '[.backends[].state == "active"] | all'
is "a host that nobody has is a 404" "$(api_status PATCH /v1/hosts/192.0.2.1 '{"state":"drain"}')" 404
is "what is no address is a 400" "$(api_status PATCH /v1/hosts/b1 '{"state":"drain"}')" 400

# --- leaving, with clients that never stop -----------------------------------------------------------------------

clients udp 7001
udp_pid=$spawned
check "flows come to b3" wait_for 5 backend chat b3 '.packets > 0'
drain_config '.services[2].backends |= .[:2]' >"$TEST_TMP/two.json"
check "b3 is no longer configured" "$LBCTL" apply -f "$TEST_TMP/two.json"
check "it keeps its flows" wait_for 5 backend chat b3 '.leaving and .entries > 0 and .draining.packets > 0'
check "also when all slots are settled" wait_for 10 backend chat b3 '.leaving and .slots_base == 0 and .entries > 0'
is "it can be told nothing but down" "$(api_status PATCH /v1/services/chat/backends/b3 '{"weight":7}')" 400
refuse "told that it is down it would lose them" "allow-break" "$LBCTL" backend set chat b3 --state down
is "over the API, too" "$(api_status PATCH /v1/services/chat/backends/b3 '{"state":"down"}')" 409
check "it has them still" backend chat b3 '.leaving and .entries > 0'
is "a plan of when it was configured is not this one" \
	"$(api_status PATCH '/v1/services/chat/backends/b3?allow_break=1&expect_plan=0123456789abcdef' '{"state":"down"}')" 409
check "with the word it is done" grep -q "is let go" <("$LBCTL" backend set chat b3 --state down --allow-break)
check "it goes, with its flows" wait_for 10 gone b3
check "an event tells" wait_for 3 event_says drained "service=chat backend=b3 gone=yes"
is "then nobody knows it" "$(api_status PATCH /v1/services/chat/backends/b3 '{"state":"down"}')" 404

check "it returns, to those who wait 3 seconds at most" "$LBCTL" apply --yes -f <(drain_config '.services[2].drain_limit_s = 3')
# The old flows stay where they are, and for a while new ones look like them.
rm "$TEST_TMP/udp"
finish "$udp_pid" 5
check "the slots settle" wait_for 20 answers GET /v1/services/chat '.unsettled_slots == 0'
clients udp 7001
check "flows come to it" wait_for 10 backend chat b3 '.slots > 0 and .packets > 0'
check "it leaves" "$LBCTL" apply -f <(drain_config '.services[2] |= (.drain_limit_s = 3 | .backends |= .[:2])')
check "and is let go by itself" wait_for 15 gone b3
rm "$TEST_TMP/udp"

act "the agent stops" lbd_stop TERM
done_testing
