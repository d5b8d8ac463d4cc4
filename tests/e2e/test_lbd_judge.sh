#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a plan says before it is made: every key that changes, what would break and wants a word, what does not take effect
# at once or at all. Two arms (scripts/lab.sh); what is behind a router is behind the first backend.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=$LAB_BUILD/lbctl
lab_start --arm two --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET
both='.interfaces += [{ "name": "eth1", "xdp_mode": "native", "attach": "exclusive" }] | .services |= .[:1]'

# config [JQ-FILTER]: the configuration that runs, changed.
config()
{
	lbd_config "$both | ${1:-.}"
}

# says FILTER JQ-FILTER: what the plan of a changed configuration says.
says()
{
	answers POST /v1/diff "$2" "$(config "$1")"
}

# wants_word FILTER JQ-FILTER: refused without the word, with a plan of which the filter holds; nothing is changed.
wants_word()
{
	local before
	before=$(api GET /v1/config)
	answers POST /v1/apply "(.error.message | test(\"allow_break\")) and (.plan | .breaks and (.applied | not) and ($2))" \
		"$(config "$1")" && [[ $(api_status POST /v1/apply "$(config "$1")") == 409 && $(api GET /v1/config) == "$before" ]]
}

# named FILTER PATH FROM TO: the plan names the key, old and new.
named()
{
	says "$1" ".changes | any(.path == \"$2\" and .from == $3 and .to == $4)"
}

config >"$LBD_CONFIG"
act "lbd starts" lbd_start
check "backends are reached" wait_for 10 lbd_resolved

# --- every key, old and new ---------------------------------------------------------------------------------------

check "an interface's mode" named '.interfaces[1].xdp_mode = "generic"' 'interfaces[eth1].xdp_mode' '"native"' '"generic"'
check "a limit" named '.limits.flow_entries = 200000' limits.flow_entries 100000 200000
check "the address of the metrics" named '.api.metrics = "127.0.0.1:9777"' api.metrics '"127.0.0.1:9650"' '"127.0.0.1:9777"'
check "the tunnel's source" named '.tunnel_source.ipv4 = "172.16.0.0/16"' tunnel_source.ipv4 null '"172.16.0.0/16"'
check "a backend's address" named '.services[0].backends[0].address = "10.77.0.99"' 'services[web].backends[b1].address' \
	'"10.77.0.11"' '"10.77.0.99"'
generation=$(api GET /v1/status | jq .generation)
check "a key that no table holds is a change" answers POST /v1/apply '.applied and .changes_total == 1' "$(config '.sweeper.cpu_permille = 20')"
is "and a generation" "$(api GET /v1/status | jq .generation)" $((generation + 1))
check "and back" answers POST /v1/apply '.applied' "$(config)"

# --- what wants the word ------------------------------------------------------------------------------------------

check "an interface that is another one" wants_word '.interfaces[0].name = "lo"' '.why_breaks | test("interfaces.eth0. goes")'
check "generic instead of native" wants_word '.interfaces[0].xdp_mode = "generic"' '.why_breaks | test("interfaces.eth0. changes its xdp_mode")'
check "a service that is left without backends" wants_word '.services[0].backends = []' '.services[0].why_breaks | test("no backend is left")'
check "or with none that takes new connections" wants_word '.services[0].backends[].weight = 0' '.services[0].why_breaks | test("no backend is left")'
check "another affinity" wants_word '.services[0].affinity = "source"' '.services[0].why_breaks | test("affinity")'
check "a backend that goes down" wants_word '.services[0].backends[0].state = "down"' '.services[0].why_breaks | test("b1 goes down")'
check "a service that goes" wants_word '.services = []' '.services[0].why_breaks | test("web goes away")'
quic='.services += [{ "name": "h3", "vip": "203.0.113.10", "protocol": "udp", "port": 443, "affinity": "quic",
	"quic": { "configs": [ { "rotation": 0, "server_id_bytes": 2 } ] },
	"backends": [ { "name": "b1", "address": "10.77.0.11", "server_id": "0011" }, { "name": "b2", "address": "10.77.0.12", "server_id": "0022" } ] }]'
check "a service for QUIC" answers POST /v1/apply '.applied' "$(config "$quic")"
check "what connection IDs mean" wants_word "$quic | .services[1].quic.configs[0].rotation = 1" '.services[0].why_breaks | test("connection IDs")'
check "whose they are" wants_word "$quic | .services[1].backends[0].server_id = \"0033\"" '.services[0].why_breaks | test("server_id of backend b1")'
check "it goes, with the word" answers POST '/v1/apply?allow_break=1' '.applied' "$(config)"

# l2 to a backend that is behind a router: it would get the packet's frame, and send it back to the balancer.
in_ns lb ip route add 10.99.0.0/24 via 10.77.0.11
far='.services[0].backends[2].address = "10.99.0.9"'
check "a backend behind a router, by tunnel" answers POST /v1/apply '.applied' "$(config "$far")"
check "is reached" wait_for 5 lbd_resolved
check "l2 wants the word" wants_word "$far | .services[0].forward = \"l2\"" '.services[0].why_breaks | test("b3 cannot be reached")'
config "$far | .services[0].forward = \"l2\"" >"$LBD_CONFIG"
refuse "so it does of lbctl reload" "allow-break" "$LBCTL" reload
far_is()
{
	answers GET /v1/services/web ".forward == \"l2\" and (.backends[] | select(.address == \"10.99.0.9\") | .nexthop | $1)"
}
kill -HUP "$lbd_pid"
check "SIGHUP does it" wait_for 5 far_is '.resolved == false and (.why | test("behind a router, which l2"))'
act "it stops" lbd_stop TERM
act "nor does a start fail for it" lbd_start
check "it is unresolved for that reason" wait_for 5 far_is '.resolved == false and (.why | test("behind a router, which l2"))'
in_ns lb ip route replace 10.99.0.0/24 dev eth1
in_ns lb ip neigh replace 10.99.0.9 lladdr 02:00:00:00:00:09 dev eth1 nud permanent
check "and judged again when the route changes" wait_for 5 far_is '.resolved'
config >"$LBD_CONFIG"
check "back" "$LBCTL" reload --allow-break

# --- what is said beside ------------------------------------------------------------------------------------------

check "other limits are other tables, which take over" says '.limits.flow_entries = 400000' \
	'(.changes[0] | .effect == "tables" and (.when | test("tables"))) and .breaks == false
	and (.tables | .to.flow_entries >= 400000 and .from.flow_entries < 400000 and .bytes_beside > 12800000)'
check "lbctl says so" grep -q "room for 262144 -> 1048576 flow entries" <("$LBCTL" diff -f <(config '.limits.flow_entries = 400000'))
check "nothing but limits makes other tables" says '.services[0].backends[0].weight = 50' '.tables == null'
check "limits that the machine cannot hold are refused" says '.limits.flow_entries = 2147483648' \
	'.error | .path == "limits" and (.message | test("until they have, both are there: that takes 131072 MiB, of which this machine has [0-9]+"))'
reseeded='.hash_seed = "other" | .services[0].backends[0].weight = 50'
check "another seed is a change that is told, as a secret, with what it would do and what would do instead" says "$reseeded" \
	'(.applied | not) and (.refused | test("nearly all flows of all 1 services would move") and test("services.: \\[\\]") and test("--detach")) and
	(.changes | any(.path == "hash_seed" and .from == "(secret)" and .to == "(secret)" and .effect == "maps"))'
check "and what else would change is told beside" says "$reseeded" \
	'(.changes_total == 2) and (.changes | any(.path == "services[web].backends[b1].weight")) and (.services[0] | .slots_moved > 0 and .slots_moved < .slots / 2)'
check "with the seed that runs nothing is refused" says '.' '.refused == null'
generation=$(api GET /v1/status | jq .generation)
check "it is not done, whatever word is said" answers POST '/v1/apply?allow_break=1' \
	'.error | .path == "hash_seed" and (.message | test("nearly all flows of all 1 services would move") and test("--detach"))' "$(config "$reseeded")"
is "nor is anything of it" "$(api GET /v1/status | jq .generation)" "$generation"
config "$reseeded" >"$TEST_TMP/reseeded.json"
"$LBCTL" diff -f "$TEST_TMP/reseeded.json" >"$TEST_TMP/reseeded.diff"
is "lbctl diff ends with 3 for it" $? 3
check "and says so" grep -q "REFUSED: hash_seed stays as it is while services run" "$TEST_TMP/reseeded.diff"
check "with all else" grep -q "weight: 100 -> 50" "$TEST_TMP/reseeded.diff"
"$LBCTL" apply --yes -f "$TEST_TMP/reseeded.json" >"$TEST_TMP/reseeded.apply" 2>&1
is "lbctl apply fails" $? 1
check "with the same words, and no question" grep -q "nothing was changed: hash_seed stays" "$TEST_TMP/reseeded.apply"
check "where nothing runs" answers POST '/v1/apply?allow_break=1' '.applied' "$(config '.services = []')"
check "it is changed" answers POST '/v1/apply?allow_break=1' '.applied and .refused == null' "$(config '.services = [] | .hash_seed = "other"')"
check "and changed back" answers POST '/v1/apply?allow_break=1' '.applied' "$(config '.services = []')"
check "with the services" answers POST '/v1/apply?allow_break=1' '.applied' "$(config)"
check "an operator's word" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": 7}'
check "hides what the file says" says '.services[0].backends[0].weight = 50' '.changes[0].note | test("an override hides it: the weight stays 7")'
check "lbctl says so" grep -q "an override hides it" <("$LBCTL" diff -f <(config '.services[0].backends[0].weight = 50'))
check "it is taken back" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": null}'
check "the smallest weight beside the largest gets a slot, or a warning tells" says \
	'.services[0].backends[0].weight = 65535 | .services[0].backends[1].weight = 1' \
	'.services[0] | (.warning // "" | test("get no slot of [0-9]+")) == ([.backends[] | select(.name != "b3")] | any(.slots_after == 0))'
check "1,000 backends in 64 slots" says '.services += [{ "name": "many", "vip": "203.0.113.10", "protocol": "tcp", "port": 81, "ring_size": 64,
	"backends": [range(1000) | { "name": "m\(.)", "address": "10.77.\(. / 250 | floor + 10).\(. % 250 + 1)" }] }]' \
	'.services[] | select(.name == "many") | .warning | test("936 of 1000 backends with a weight get no slot of 64")'
check "where slots move, silence has a limit" says '.services[0].backends[0].state = "drain"' \
	'(.breaks | not) and (.services[0] | .slots_moved > 0 and .idle_timeout_s == 900)'
check "lbctl says which connections it is true of" grep -q "no connection would break that is never silent for longer than 900 s" \
	<("$LBCTL" diff -f <(config '.services[0].backends[0].state = "drain"'))
check "where none moves it is true of all" grep -q "no connection would break$" <("$LBCTL" diff -f <(config '.sweeper.cpu_permille = 20'))

# diff_status FILTER: with which status lbctl diff ends.
diff_status()
{
	"$LBCTL" diff -f <(config "$1") >/dev/null
	echo $?
}

is "lbctl diff ends with 3 where something differs" "$(diff_status '.sweeper.cpu_permille = 20')" 3
is "and with 0 where nothing does" "$(diff_status .)" 0
lbd_stop TERM || not_ok "it stops in order"

done_testing
