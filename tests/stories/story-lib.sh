# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the stories share: a two-arm lab with four backends, an agent, and clients whose connections must survive what
# happens. A story is a script that sources this file, calls story_begin, makes changes, and ends with story_end, which
# prints "story NAME: B broken of T" as its last line: T connections and flows were opened, B of them were broken. Its
# exit status is 0 if none was, and all that it expected on the way came true (ok and not ok lines).
#
# QUICK=1: fewer connections and shorter acts. What is not asked about for TRAFFIC_IDLE seconds is taken to be over;
# clients ask more often than that.

# shellcheck disable=SC2119 # without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/traffic-lib.sh"

STORY=${TEST_NAME#story_}
LBCTL=${LBCTL:-$LAB_BUILD/lbctl}
TRAFFIC_BACKENDS=4
TRAFFIC_IDLE=4 TRAFFIC_LEARNING=2
STALL_MS=${STALL_MS:-8000}
story_clients=()

# What counts, of a client's report.
story_broken='[.long, .short, .udp] | map(.broken) | add'
story_opened='[.long, .short, .udp] | map(.opened) | add'

# longs N: N, or fewer of them with QUICK=1
longs()
{
	echo $((${QUICK:-0} ? $1 / 5 : $1))
}

# story_begin [JQ FILTER of the configuration]: the lab, the servers, the agent
story_begin()
{
	lab_start --arm two --backends $TRAFFIC_BACKENDS
	lbd_init
	export LBCTL_SOCKET=$LBD_SOCKET
	client_init
	serve_start || not_ok "the servers start"
	${story_before_agent:-}
	traffic_config "${1:-.}" >"$LBD_CONFIG"
	lbd_start || not_ok "lbd starts"
	wait_for 10 lbd_resolved || not_ok "next hops are resolved"
}

# story_client NAME ADDRESS [OPTION...]
story_client()
{
	story_clients+=("$1")
	client_start "$@" --stall "$STALL_MS" --interval 300
}

# 500 long connections, and short ones without end: IPv4 and IPv6.
story_crowd()
{
	story_client v4 "$LAB_VIP4" --long "$(longs 350)" --short 12 --pause 60
	story_client v6 "$LAB_VIP6" --long "$(longs 150)" --short 6 --pause 60
	wait_for 20 crowd_open || not_ok "all long connections are open"
}

crowd_open()
{
	client_is v4 "[.long.by[]] | add == $(longs 350)" && client_is v6 "[.long.by[]] | add == $(longs 150)"
}

# Traffic goes on for a while: each client gets so many answers more.
story_goes_on()
{
	local name
	for name in "${story_clients[@]}"; do
		client_more "$name" "${1:-$((${QUICK:-0} ? 300 : 1500))}" || not_ok "the client $name goes on"
	done
}

# set_backend BACKEND OPTION...: lbctl backend set, in all services that clients use.
set_backend()
{
	local service backend=$1
	shift
	for service in $TRAFFIC_TALK; do
		"$LBCTL" -j backend set "$service" "$backend" "$@" || return 1
	done
}

# New connections, made from now on, do not go to a backend. Those on the way may still end there.
avoided()
{
	local before after
	before=$(client v4 ".short.by.$1 // 0")
	client_more v4 600 || return 1
	after=$(client v4 ".short.by.$1 // 0")
	((after - before <= 12)) || {
		echo "$((after - before)) new connections to $1"
		return 1
	}
}

reached()
{
	local before
	before=$(client v4 ".short.by.$1 // 0")
	wait_for 20 client_is v4 "(.short.by.$1 // 0) > $before + 5"
}

# How many long connections a backend has: with IPv4.
held()
{
	client v4 ".long.by.$1 // 0"
}

unbroken()
{
	local name
	for name in "${story_clients[@]}"; do
		client_is "$name" "$story_broken == 0" || {
			cat "${client_outputs[$name]}"
			return 1
		}
	done
}

# Slots of a service are unsettled only where long connections are that the change concerns. concerned SERVICE N
concerned()
{
	answers GET "/v1/services/$1" ".unsettled_slots <= $2"
}

all_settled()
{
	answers GET /v1/status '.unsettled_slots == 0 and .flow_table.entries == 0'
}

wait_settled()
{
	wait_for 45 all_settled || {
		api GET /v1/status | jq -c '{ unsettled_slots, unsettled_since_s, flow_table, sweeper, uptime_s }'
		api GET /v1/flows | jq -c '.total, .flows[:5]'
		sleep 5
		api GET /v1/status | jq -c '{ unsettled_slots, unsettled_since_s, flow_table, sweeper, uptime_s }'
		api GET /v1/services | jq -c '.services[] | { name, unsettled_slots, entries, packets }'
		return 1
	}
}

# A reason that packets may be dropped for.
story_may_drop=

no_drops()
{
	local drops
	drops=$(api GET /v1/drops | jq -c --arg may "$story_may_drop" '[.reasons[] |
		select(.action == "drop" and .reason != $may and .packets > 0) | { reason, packets, example }]')
	echo "$drops"
	[[ $drops == "[]" ]]
}

# Ends the clients, checks that the state of the change goes, that every packet is accounted for, and sums up.
story_end()
{
	local name broken=0 opened=0
	for name in "${story_clients[@]}"; do
		client_stop "$name" >"$TEST_TMP/stop" || diag <"$TEST_TMP/stop"
		diag "$name: $(client "$name" \
			'"long \(.long.opened) short \(.short.opened) udp \(.udp.opened), slowest answer \(.slowest_ms) ms"')"
		broken=$((broken + $(client "$name" "$story_broken")))
		opened=$((opened + $(client "$name" "$story_opened")))
	done
	check "when the connections are gone, all slots settle and no state is left" wait_settled
	check "nothing was dropped" no_drops
	conserved
	((opened > 0)) || not_ok "connections were opened"
	test_done=yes
	echo "1..$test_count"
	echo "story $STORY: $broken broken of $opened"
	exit $((test_failed > 0 || broken > 0))
}
