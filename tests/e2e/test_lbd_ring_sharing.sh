#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Services that share a ring by name: a client meets one backend on all their ports, what is said of a backend in one of
# them holds in all, edits reach all, and no connection of one breaks by what happens to the other.
# timeout: 300
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

# web and iperf, which go by the client, and talk, which goes by flows, share a ring; the others have rings of their own.
# sharing [JQ FILTER]
sharing()
{
	TRAFFIC_IDLE=5 traffic_config '(.services[] | select(.name == "web" or .name == "iperf" or .name == "talk")).ring = "pool"
		| (.services[] | select(.name == "web" or .name == "iperf")).affinity = "source" | '"${1:-.}"
}

# The backend that a client's packet goes to, by the loaded program. owner SOURCE PORT
owner()
{
	api POST /v1/explain '{"protocol":"tcp","source":"198.51.100.'"$1:$((2000 + $1 * 7))"'","destination":"'"$LAB_VIP4:$2"'","syn":true}' |
		jq -r .backend
}

clients_meet_one_backend()
{
	local i first second seen=
	for i in {1..20}; do
		first=$(owner "$i" 80) second=$(owner "$i" 5201)
		[[ $first == "$second" && $first == b* ]] || {
			echo "client $i: $first and $second"
			return 1
		}
		seen+="$first "
	done
	# Not because all meet the same one.
	[[ $(tr ' ' '\n' <<<"$seen" | sort -u | grep -c b) == "${1:-3}" ]]
}

backend_is()
{
	answers GET "/v1/services/$1" ".backends[] | select(.name == \"$2\") | $3"
}

settled()
{
	answers GET /v1/status '.unsettled_slots == 0'
}

lab_start --arm one --backends 3
lbd_init
client_init
serve_start
LBCTL=("${LBCTL:-$LAB_BUILD/lbctl}" --socket "$LBD_SOCKET")
sharing >"$LBD_CONFIG"
act "lbd starts" lbd_start
act "next hops are known" wait_for 10 lbd_resolved

check "20 clients meet the same backend on both ports" clients_meet_one_backend
check "there is one ring for three services" answers GET /v1/services \
	'[.services[] | select(.ring) | .ring, .ring_sharers] == ["pool", 2, "pool", 2, "pool", 2]'
is "a service says with whom it shares" \
	"$("${LBCTL[@]}" service show talk | grep -c 'pool, shared with 2 others: 1024 slots')" 1

# --- a word on one ------------------------------------------------------------------------------------------------

client_start talk "$LAB_VIP4" --long 30 --short 5 --interval 100 --pause 50
act "a client has connections to the second" client_more talk 300
check "the plan of a drain in the first tells of all" answers PATCH "/v1/services/web/backends/b1?dry_run=1" \
	'[.services[] | .name, .shares_ring_of] == ["web", null, "talk", "web", "iperf", "web"]' \
	'{"state": "drain"}'
check "lbctl prints it" grep -q 'talk: modify, shares the ring of web' <("${LBCTL[@]}" backend set web b1 --state drain --dry-run)
check "a backend is drained in the first" "${LBCTL[@]}" backend set web b1 --state drain --reason disk
check "it drains in the second" backend_is talk b1 '.state == "drain" and .draining and .reasons[0].reason == "disk"'
check "the event says so" answers GET /v1/events '.events | map(.message) | any(test("also in 2 services that share ring pool"))'
check "new clients meet the other two, on both ports" clients_meet_one_backend 2
act "the client goes on" client_more talk 600
check "no connection of the second broke" client_is talk '([.long, .short, .udp] | map(.broken) | add) == 0'
check "each service counts its own packets" answers GET /v1/services \
	'[.services[] | select(.ring)] | INDEX(.name) | .talk.packets > 1000 and .web.packets == 0 and .iperf.packets == 0'

# --- the first goes -----------------------------------------------------------------------------------------------

sharing 'del(.services[] | select(.name == "web"))' >"$TEST_TMP/without.json"
check "the first service is removed, with the word for its own connections" \
	answers POST "/v1/apply?allow_break=1" '.applied' @"$TEST_TMP/without.json"
check "the next one has the ring" answers GET /v1/services/talk '.ring_sharers == 1 and .counted_with == null'
check "and what was said" backend_is talk b1 '.state == "drain"'
act "the client goes on" client_more talk 900
check "no connection of the second broke" client_is talk '([.long, .short, .udp] | map(.broken) | add) == 0'
act "the client ends" client_stop talk
act "the ring settles" wait_for 60 settled
check "it comes back" answers POST "/v1/apply?allow_break=1" '.applied' @"$LBD_CONFIG"
check "clients meet one backend again" clients_meet_one_backend 2
check "the word is taken back in all" "${LBCTL[@]}" backend set talk b1 --reset
check "so that it is active in the first" backend_is web b1 '.state == "active"'
act "the ring settles" wait_for 60 settled

# --- restart, edits, errors ---------------------------------------------------------------------------------------

act "lbd is killed" lbd_stop KILL
act "and started again" lbd_start
check "it finds the ring as it was" clients_meet_one_backend
check "a backend is taken out of all by an edit of one" answers DELETE /v1/services/talk/backends/b3 '.applied'
check "it leaves all" backend_is web b3 '.leaving'
check "a service that differs is refused with the place" answers POST /v1/apply \
	'.error.path == "services[2].backends" and (.error.message | test("b3. is not in services.0. .web., with which it shares ring .pool."))' \
	"$(sharing 'del((.services[] | select(.name == "web")).backends[2])')"
act "lbd ends" lbd_stop

done_testing
