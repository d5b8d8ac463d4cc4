#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The API over the UNIX socket: every verb of docs/api.md, its errors, and clients that do not play by the rules; and
# the TCP listener for metrics. One arm (scripts/lab.sh).
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
lbd_config '.api.metrics = "127.0.0.1:9909"' >"$LBD_CONFIG"
act "it starts" lbd_start
for _ in {1..20}; do fetch; done >/dev/null

explain()
{
	answers POST /v1/explain "$2" "$1"
}

# Everything that packets write, but for what the neighbours' own talk (ARP, ND) counts meanwhile.
traces()
{
	local map
	for map in lb_counters lb_samples lb_stamps lb_flows lb_fragments; do
		in_ns lb bpftool map dump pinned "$LBD_BPFFS/$map" | md5sum
	done
	api GET /v1/drops | jq -c '[.reasons[] | select(.reason | IN("not_ip", "multicast", "icmp") | not) | [.reason, .packets]]'
}

# 100 packets, half of them the first of a connection, into slots of which some are unsettled (it asks of each).
explains_without_a_trace()
{
	local before port unsettled
	before=$(traces)
	unsettled=$(for port in {2000..2049}; do
		for syn in true false; do
			api POST /v1/explain '{"protocol":"tcp","source":"198.51.100.7:'"$port"'","destination":"'"$LAB_VIP4"':80","syn":'"$syn"'}'
		done
	done | jq -s 'map(select(.settled == false)) | length')
	api POST /v1/explain '{"protocol":"tcp","source":"198.51.100.7:1","destination":"192.0.2.1:80","syn":true}' >/dev/null
	((unsettled > 10)) && diff <(echo "$before") <(traces)
}

metrics()
{
	in_ns lb curl -s --max-time 5 "http://127.0.0.1:${2:-9909}$1"
}

# --- reading ---------------------------------------------------------------------------------------------------

check "version" answers GET /v1/version '.layout >= 1 and (.kernel | length > 0) and (.libbpf | length > 0)'
check "status" answers GET /v1/status '.state == "running" and .services == 2 and .backends == 6
	and .interfaces[0].program_id > 0 and .tables.backends.used == 6 and .packets.tx > 0 and .last_error == null'
check "services" answers GET /v1/services '.services | map(.name) == ["web", "web6"]'
check "a service with its backends" answers GET /v1/services/web '.vip == "'"$LAB_VIP4"'" and .port == 80
	and (.backends | length == 3) and .packets > 0 and .syns >= 20'
check "backends of all services" answers GET /v1/backends '.backends | length == 6 and (map(.service) | unique == ["web", "web6"])'
check "one arm: packets leave by the interface that they came by" answers GET /v1/services/web \
	'[.backends[].nexthop | .action == "tx" and .interface == "eth0"] | all'
check "a ring" answers GET /v1/services/web/ring '.size == 1024 and ([.owners[].slots] | add == 1024) and .max_over_mean < 1.1
	and (has("slots") | not)'
check "a ring's dump names the owner of every slot" answers GET '/v1/services/web/ring?dump=1' \
	'. as $r | (.slots | length == 1024) and ([.slots[] | .[0]] | group_by(.) | map(length)) ==
	[.owners[].slots] and .backends == ["b1", "b2", "b3"]'
check "stats add up" answers GET /v1/stats '(.totals | .rx == .tx + .redirect + .pass + .drop)
	and (.totals.tx == ([.cpus[].tx] | add)) and (.services[0].packets == ([.services[0].backends[].tx_packets] | add))'
check "drops name every reason" answers GET /v1/drops '.reasons | length >= 17 and all(.action | IN("pass", "drop", "reply"))'
check "flows" answers GET /v1/flows '.flows == [] and .truncated == false'
check "the configuration comes back as it was given" test "$(api GET /v1/config | sha256sum)" = "$(sha256sum <"$LBD_CONFIG")"
check "generations" answers GET /v1/generations '.generations | length == 1 and .[0].running'
check "events" answers GET /v1/events '.events | map(.kind) | contains(["start", "attach"])'
last=$(api GET /v1/events | jq '.events[-1].id')
check "events since one" answers GET "/v1/events?since=$last" '.events == []'

# --- explain ----------------------------------------------------------------------------------------------------

syn='{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'$LAB_VIP4':80","syn":true}'
check "explain agrees with the loaded program" explain "$syn" '.agrees and .verdict == "XDP_TX" and .service == "web"
	and .settled and .cur == .backend and .reason == null'
check "it has every step" explain "$syn" '[.steps[].step] == ["parse", "service", "hash", "slot", "backend", "forward"]'
check "the packet that leaves is the one that went in, with a header" explain "$syn" \
	'(.packet_out | length) == (.packet | length) + 40'
check "IPv6" explain '{"protocol":"tcp","source":"[2001:db8:51::7]:4000","destination":"['"$LAB_VIP6"']:80"}' \
	'.agrees and .service == "web6" and (.packet_out | length) == (.packet | length) + 80'
check "what is for no service of a VIP is dropped" explain '{"protocol":"udp","source":"198.51.100.7:4","destination":"'"$LAB_VIP4"':53"}' \
	'.agrees and .verdict == "XDP_DROP" and .reason == "unclaimed" and .service == null'
check "what is for no VIP passes" explain '{"protocol":"udp","source":"198.51.100.7:4","destination":"203.0.113.99:53"}' \
	'.agrees and .verdict == "XDP_PASS" and .reason == "no_service" and .service == null'
check "explain remembers nothing" answers GET /v1/flows '.total == 0'
real=$(in_ns client curl -s -w '%{local_port}' -o "$TEST_TMP/who" "http://$LAB_VIP4/"; :)
check "what explain says is what happens" explain \
	'{"protocol":"tcp","source":"198.51.100.2:'"$real"'","destination":"'"$LAB_VIP4"':80"}' \
	'.backend == "'"$(cat "$TEST_TMP/who")"'"'

# --- changing ---------------------------------------------------------------------------------------------------

lbd_config '.services[0].backends |= .[:2]' >"$TEST_TMP/two.json"
check "diff says what would move, and moves nothing" answers POST /v1/diff '.applied == false and .dry_run
	and .services[0].name == "web" and .services[0].slots_moved > 300 and .services[0].breaks == false' @"$TEST_TMP/two.json"
check "it moved nothing" answers GET /v1/services/web '.backends_active == 3'
check "a dry run says the same" answers POST '/v1/apply?dry_run=1' '.dry_run and (.services | length == 1)' @"$TEST_TMP/two.json"
check "apply does it" answers POST /v1/apply '.applied and .generation == .from_generation + 1' @"$TEST_TMP/two.json"
check "the backend is leaving, for its old flows" answers GET /v1/services/web \
	'.backends[] | select(.name == "b3") | .leaving and .slots == 0 and .slots_base > 300'
check "explain shows an unsettled slot" wait_for 10 bash -c '
	for port in {1000..1100}; do
		curl -s --unix-socket "$0" -d "{\"protocol\":\"tcp\",\"source\":\"198.51.100.7:$port\",\"destination\":\"$1:80\"}" \
			http://weir/v1/explain
	done | jq -se "map(select(.settled == false)) | length > 0 and all(.agrees and .base == \"b3\" and .backend == \"b3\")"
' "$LBD_SOCKET" "$LAB_VIP4"
check "a hundred explains leave no trace: no counter, sample, stamp, flow or fragment" explains_without_a_trace
check "applying the same again is empty" answers POST /v1/apply '.applied and .services == [] and .generation == .from_generation' \
	@"$TEST_TMP/two.json"
digest()
{
	api GET /v1/status | jq -r .rings.digest
}
before=$(digest)
is "the digest of all rings stays while nothing changes" "$(digest)" "$before"
check "a weight in the configuration" answers PUT '/v1/services/web/backends/b1?merge=1' '.applied' '{"weight":60}'
other=$(digest)
check "is another digest" test "$other" != "$before"
check "an operator's weight" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight":7}'
check "hides another one in the configuration" answers PUT '/v1/services/web/backends/b1?merge=1' '.applied' '{"weight":61}'
check "which is another digest, though no slot moves" test "$(digest)" != "$other"
check "the operator takes it back" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight":null}'
check "as before" answers POST /v1/apply '.applied' @"$TEST_TMP/two.json"
is "with the digest of before" "$(digest)" "$before"
is "lists of digests name each service" "$(api GET /v1/rings | jq -c '[.services[].name]') $(metrics /rings 9650 | jq -c '[.services[].name]')" \
	'["web","web6"] ["web","web6"]'
check "PATCH with dry_run changes nothing" answers PATCH '/v1/services/web/backends/b1?dry_run=1' '.dry_run' '{"state":"drain"}'
check "PATCH" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight":50,"state":"active"}'
check "the override shows beside the configuration" answers GET /v1/services/web \
	'.backends[] | select(.name == "b1") | .weight == 50 and .configured.weight == 100'
check "an error is JSON with message, path and value" answers POST /v1/apply \
	'.error | (.message | length > 10) and .path == "services[0].backends[1].address" and (.value | test("300"))' \
	"$(lbd_config '.services[0].backends[1].address = "10.0.0.300"')"
is "a bad configuration is a 400" "$(api_status POST /v1/apply '{}')" 400
is "a host's own address is a 400" "$(api_status POST /v1/apply "$(lbd_config '.services[0].vip = "10.77.0.2"')")" 400
is "an unknown service is a 404" "$(api_status GET /v1/services/none)" 404
is "an unknown backend is a 404" "$(api_status PATCH /v1/services/web/backends/none '{"weight":1}')" 404
api POST /v1/apply "$(lbd_config '.services[0].ring_size = 16384')" >/dev/null
is "a smaller ring without the word is a 409" \
	"$(api_status POST /v1/apply "$(lbd_config '.services[0].ring_size = 1024')")" 409
is "with the word it is done" \
	"$(api_status POST '/v1/apply?allow_ring_resize=1&allow_break=1' "$(lbd_config '.services[0].ring_size = 1024')")" 200
# Names of 1,000 services are more than the 256 that the table was made for.
is "a full table is a 507" "$(lbd_config '.services += [range(1000) | {
	name: "s\(.)", vip: "203.0.113.77", protocol: "tcp", port: (. + 1000), forward: "ipip",
	backends: [{ name: "b", address: "10.77.0.11" }] }]' >"$TEST_TMP/many.json"
	api_status POST /v1/apply @"$TEST_TMP/many.json")" 507
check "and names the limit" answers GET /v1/status '.services == 2'

# What was approved is what is done, and what breaks wants a word.
api POST '/v1/apply?allow_ring_resize=1&allow_break=1' @"$LBD_CONFIG" >/dev/null
lbd_config '.services |= .[:1]' >"$TEST_TMP/one.json"
lbd_config '.services[0].backends = []' >"$TEST_TMP/none.json"
lbd_config '.limits.services = 300 | .sweeper.cpu_permille = 11' >"$TEST_TMP/unseen.json"
check "a service that goes is refused with the plan" answers POST /v1/apply \
	'(.error.message | test("allow_break")) and .plan.breaks and (.plan.applied | not) and (.plan.services | any(.change == "remove"))' \
	@"$TEST_TMP/one.json"
is "with a 409" "$(api_status POST /v1/apply @"$TEST_TMP/one.json")" 409
is "so is a service that loses all its backends" "$(api_status POST /v1/apply @"$TEST_TMP/none.json")" 409
check "and nothing has changed" answers GET /v1/status '.services == 2'
plan=$(api POST /v1/diff @"$TEST_TMP/one.json" | jq -r .plan)
is "another plan than the approved one is a 409" \
	"$(api_status POST "/v1/apply?allow_break=1&expect_plan=$plan" @"$TEST_TMP/none.json")" 409
check "keys that no table holds are told, with what they wait for" answers POST /v1/diff \
	'.changes_total == (.changes | length) and .services == [] and (.changes | map(.path) | contains(["sweeper.cpu_permille"]))
	and (.changes | any(.path == "limits.services" and .to == 300 and .effect == "tables"))' \
	@"$TEST_TMP/unseen.json"
check "and make a generation" answers POST /v1/apply '.applied and .generation == .from_generation + 1' @"$TEST_TMP/unseen.json"
is "a plan that has changed meanwhile is a 409" \
	"$(api_status POST "/v1/apply?allow_break=1&expect_plan=$plan" @"$TEST_TMP/one.json")" 409
is "a generation that is not what If-Match says is a 412" "$(curl -s -o /dev/null -w '%{http_code}' -H 'If-Match: "1"' \
	--unix-socket "$LBD_SOCKET" --data-binary @"$LBD_CONFIG" http://weir/v1/apply)" 412
plan=$(api POST /v1/diff @"$TEST_TMP/one.json" | jq -r .plan)
check "the plan that was approved is made" answers POST "/v1/apply?allow_break=1&expect_plan=$plan" '.applied' @"$TEST_TMP/one.json"
check "a rollback is judged, too" answers POST '/v1/rollback?dry_run=1' '(.plan | test("^[0-9a-f]{16}$")) and (.changes | length > 0)'
api POST '/v1/apply?allow_break=1' @"$LBD_CONFIG" >/dev/null
api PATCH /v1/services/web/backends/b1 '{"weight":50}' >/dev/null
check "a value of the file that an override hides is told" answers POST /v1/diff \
	'.changes | any(.path == "services[web].backends[b1].weight" and (.note | test("stays 50")))' \
	"$(lbd_config '.services[0].backends[0].weight = 7')"
api PATCH /v1/services/web/backends/b1 '{"weight":null}' >/dev/null

# --- metrics ----------------------------------------------------------------------------------------------------

api POST '/v1/apply?allow_ring_resize=1&allow_break=1' @"$LBD_CONFIG" >/dev/null
check "metrics have types and help" grep -q '^# TYPE weir_packets_total counter' <(metrics /metrics)
check "metrics have the packets of a backend" grep -qE '^weir_backend_packets_total\{service="web",backend="b1"\} [1-9]' <(metrics /metrics/backends)
check "every metric line is well formed" test -z "$(metrics /metrics |
	grep -vE '^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$')"
is "healthz" "$(metrics /healthz)" ok
is "readyz" "$(metrics /readyz)" ok
is "metrics know nothing of the API" "$(in_ns lb curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9909/v1/status)" 404
lbd_config '.api.metrics = "127.0.0.1:9910"' >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
metrics_moved()
{
	[[ $(metrics /healthz 9910) == ok && -z $(metrics /healthz 9909) ]]
}
check "metrics move where a reload says" wait_for 5 metrics_moved
spawn lb socat TCP-LISTEN:9911,bind=127.0.0.1,fork OPEN:/dev/null
check "another has the next address" wait_for 5 listening lb 9911
check "metrics that cannot listen do not refuse a configuration" answers POST /v1/apply '.applied' \
	"$(lbd_config '.api.metrics = "127.0.0.1:9911"')"
check "but are a warning" answers GET /v1/status \
	'.warnings | any(test("no metrics: Failed to listen on 127.0.0.1:9911: Address already in use"))'
check "metrics move where an applied configuration says" answers POST /v1/apply '.applied' \
	"$(lbd_config '.api.metrics = "127.0.0.1:9909"')"
is "at once" "$(metrics /healthz)" ok
check "and nothing is warned of" answers GET /v1/status '[.warnings[] | select(test("metrics on|no metrics"))] == []'

# --- a strict reader --------------------------------------------------------------------------------------------

check "an unknown parameter is told with the one that was meant" answers POST '/v1/apply?dry_rnu=1' \
	'.error.message | test("did you mean .dry_run")' @"$LBD_CONFIG"
check "an unknown key as well" answers PATCH /v1/services/web/backends/b1 '.error | .path == "wieght" and
	(.message | test("did you mean .weight"))' '{"wieght": 1}'
check "what is given twice is told" answers PATCH /v1/services/web/backends/b1 '.error.message | test("twice")' \
	'{"weight": 1, "weight": 200}'
check "garbage is told with its place" answers PATCH /v1/services/web/backends/b1 '.error.message | test("line 1, column 16")' \
	'{"weight": 50} garbage'

# --- descriptors run out ----------------------------------------------------------------------------------------

# Clients that say nothing take all that are left; then there are more again, though none of those has gone.
# The number below which five are free.
limit=$(seq 0 1000 | grep -vxFf <(ls "/proc/$lbd_pid/fd") | sed -n 6p)
before=$(prlimit --pid "$lbd_pid" --nofile -o SOFT --noheadings)
prlimit --pid "$lbd_pid" --nofile="$limit:"
spawn lb "$TEST_ROOT/tests/e2e/idle_clients.py" "$LBD_SOCKET" 20
check "clients take every descriptor" wait_for 5 grep -q connected "$spawned_output"
check "and nobody is served" test "$(curl -s --max-time 1 -o /dev/null -w '%{http_code}' --unix-socket "$LBD_SOCKET" http://weir/v1/version)" = 000
prlimit --pid "$lbd_pid" --nofile="$((before)):"
check "once there are descriptors again, it serves" wait_for 3 answers GET /v1/version .version
kill "$spawned"

# --- readers that do not read -----------------------------------------------------------------------------------

# 40 of each long answer: they share what is made once, and hold nothing up.
resident()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$lbd_pid/status"
}
before=$(resident)
for path in /v1/backends /v1/stats /v1/services; do
	spawn lb "$TEST_ROOT/tests/e2e/idle_clients.py" "$LBD_SOCKET" 30 "$path"
	check "30 clients ask for $path and do not read" wait_for 5 grep -q connected "$spawned_output"
done
check "another one is served" answers GET /v1/backends '.backends | length == 6'
check "and that has cost less than 16 MiB" test "$(($(resident) - before))" -lt 16384

# --- clients ----------------------------------------------------------------------------------------------------

tap_merge < <(timeout 100 "$TEST_ROOT/tests/e2e/bad_clients.py" "$LBD_SOCKET" 2>&1)
check "the same agent serves on" answers GET /v1/status ".pid == $lbd_pid"
check "and packets flow" fetch
act "it stops in order" lbd_stop TERM

done_testing
