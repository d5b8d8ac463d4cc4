#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a scrape gets, in the lab's two arms (scripts/lab.sh): every series once whatever happens to a backend, totals
# that never fall, shards that are the whole together, labels that stay text whatever a device is called, the forms
# that are asked for; and what scrapers do that they should not.

# shellcheck disable=SC2317,SC2119,SC2016,SC1003 # functions that check calls; default arguments; what bash -c expands; a\
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
lbd_config '.api.metrics = "127.0.0.1:9650" | .services[].ring_size = 1024 | .services[].idle_timeout_s = 2' >"$LBD_CONFIG"

# scrape FILE [PATH [HEADER]...]
scrape()
{
	local file=$1 path=${2:-/metrics} header headers=()
	for header in "${@:3}"; do headers+=(-H "$header"); done
	in_ns lb curl -gsf --max-time 10 -D "$file.head" -o "$file" "${headers[@]}" "http://127.0.0.1:9650$path"
}

scrape_py()
{
	/usr/bin/python3 "$TEST_ROOT/tests/e2e/scrape.py" "$@"
}

# all NAME: everything that there is, into $TEST_TMP/NAME.*; strictly read.
all()
{
	scrape "$TEST_TMP/$1.whole" /metrics && scrape "$TEST_TMP/$1.services" /metrics/services &&
		scrape "$TEST_TMP/$1.backends" /metrics/backends && scrape_py "$TEST_TMP/$1".{whole,services,backends}
}

# value NAME SERIES
value()
{
	local part=whole
	[[ $2 == weir_backend_* ]] && part=backends
	scrape_py --value "$2" "$TEST_TMP/$1.$part"
}

# rises BEFORE AFTER: no counter fell and none went, of the whole and of services.
rises()
{
	scrape_py --rising "$TEST_TMP/$1.whole" "$TEST_TMP/$2.whole" &&
		scrape_py --rising "$TEST_TMP/$1.services" "$TEST_TMP/$2.services"
}

# --- before the first packet -----------------------------------------------------------------------------------

lbd_start
check "the agent serves" lbd_serves
check "a scrape is well formed, and has no series twice" all first
is "totals begin at 0: of a service" "$(value first 'weir_service_packets_total{service="web6"}')" 0
is "of a backend" "$(value first 'weir_backend_packets_total{service="web6",backend="b1"}')" 0
is "of a reason" "$(value first 'weir_reason_packets_total{reason="too_big",action="drop"}')" 0
ifindex=$(in_ns lb ip -j link show eth0 | jq ".[0].ifindex")
is "of what an interface lost" "$(value first "weir_tx_lost_packets_total{interface=\"eth0\",ifindex=\"$ifindex\"}")" 0
is "there is the place beside what is used" "$(value first 'weir_table_capacity{table="flows"}')" \
	"$(api GET /v1/status | jq .flow_table.capacity)"
is "nothing was reloaded yet: the start read the file" "$(value first weir_reload_success)" 1

# --- totals and names ------------------------------------------------------------------------------------------

check "every next hop is resolved" wait_for 5 lbd_resolved
for _ in {1..20}; do fetch >/dev/null; done
check "after packets" all used
check "nothing fell" rises first used
packets=$(value used 'weir_service_packets_total{service="web"}')
check "packets were counted" test "$packets" -gt 60
sum=0
for backend in b1 b2 b3; do
	sum=$((sum + $(value used "weir_backend_packets_total{service=\"web\",backend=\"$backend\"}")))
done
check "a service's are those of its backends, or some more" test "$sum" -ge "$packets"

# Each backend is given the next one's address: they are there twice, under one name.
swap()
{
	api POST '/v1/apply?allow_break=1' "$(jq '.services[0].backends |= (map(.address) as $a
		| [ .[0] + { address: $a[1] }, .[1] + { address: $a[2] }, .[2] + { address: $a[0] } ])' "$LBD_CONFIG")" >/dev/null
}
check "addresses change" swap
check "backends are there twice" answers GET /v1/backends '[.backends[] | select(.service == "web")] | length == 6'
check "but no series is" all swapped
check "no total fell, of backends either" rises used swapped
check "of backends" scrape_py --rising "$TEST_TMP/used.backends" "$TEST_TMP/swapped.backends"
once()
{
	answers GET /v1/backends '[.backends[] | select(.service == "web")] | length == 3'
}
for _ in {1..5}; do fetch >/dev/null; done
check "the leaving ones are forgotten" wait_for 30 once
check "and what they counted is not" all forgotten
check "by the whole" rises swapped forgotten
check "by backends" scrape_py --rising "$TEST_TMP/swapped.backends" "$TEST_TMP/forgotten.backends"

# One goes for good, and another one comes under its id and index.
api DELETE '/v1/services/web/backends/b3?allow_break=1' >/dev/null
gone()
{
	answers GET /v1/backends '[.backends[] | select(.service == "web")] | length == 2'
}
check "a backend leaves and is forgotten" wait_for 30 gone
check "a scrape" all left
check "the service keeps what it counted" rises forgotten left
api PUT '/v1/services/web/backends/b4?add=1&allow_break=1' "{\"name\":\"b4\",\"address\":\"$(lab_backend4 1)\"}" >/dev/null
check "another one comes" answers GET /v1/backends '[.backends[] | select(.service == "web")] | length == 3'
check "a scrape" all came
check "its index and id serve again, and no total fell" rises left came
is "it begins at 0" "$(value came 'weir_backend_packets_total{service="web",backend="b4"}')" 0

lbd_stop KILL
lbd_start
check "the agent is killed and started again" lbd_serves
check "a scrape" all again
of_packets()
{
	local name
	for name in "$@"; do grep -E '^(# |weir_(packets|cpu_packets|forwarded|reason|service|refused|redirect|tx))' "$TEST_TMP/$name.whole" >"$TEST_TMP/$name.packets"; done
	scrape_py --rising "$TEST_TMP/$1.packets" "$TEST_TMP/$2.packets"
}
check "what packets counted has not fallen" of_packets came again

# --- reloads ---------------------------------------------------------------------------------------------------

reload_is()
{
	all reload && [[ $(value reload weir_reload_success) == "$1" ]]
}
echo '{' >"$TEST_TMP/broken.json"
cp "$LBD_CONFIG" "$TEST_TMP/good.json"
cp "$TEST_TMP/broken.json" "$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a reload that failed is told" wait_for 5 reload_is 0
check "with its time" test "$(value reload weir_reload_time_seconds | cut -d. -f1)" != 0
cp "$TEST_TMP/good.json" "$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "and one that went well" wait_for 5 reload_is 1

# --- shards and forms ------------------------------------------------------------------------------------------

sharded()
{
	local part i
	for part in services backends; do
		for i in 0 1 2; do scrape "$TEST_TMP/shard.$part.$i" "/metrics/$part?shard=$i/3" || return 1; done
		scrape "$TEST_TMP/shard.$part" "/metrics/$part" || return 1
		# All together: each series once, and as many as in one piece.
		[[ $(scrape_py --count "$TEST_TMP/shard.$part".{0,1,2}) == "$(scrape_py --count "$TEST_TMP/shard.$part")" ]] || return 1
	done
}
check "shards are the whole, each series in one of them" sharded
check "one service alone" scrape "$TEST_TMP/one" '/metrics/backends?service=web6'
is "has its backends" "$(grep -c '^weir_backend_weight{service="web6"' "$TEST_TMP/one") $(grep -c '"web"' "$TEST_TMP/one")" "3 0"
status()
{
	in_ns lb curl -gs --max-time 10 -o /dev/null -w '%{http_code}' "http://127.0.0.1:9650$1"
}
for bad in '/metrics?shard=0/2' '/metrics/backends?shard=2/2' '/metrics/backends?shard=0/0' '/metrics/backends?shard=-1/2' \
	'/metrics/backends?shard=1' '/metrics/backends?shard=0/2x' '/metrics/backends?shard=0/99999' '/metrics/services?what=1'; do
	is "refused: $bad" "$(status "$bad")" 400
done
is "no such service" "$(status '/metrics/backends?service=nobody')" 404

om='Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
check "OpenMetrics when it is asked for" scrape "$TEST_TMP/om" /metrics "$om"
check "says so" grep -qi '^content-type: application/openmetrics-text; version=1.0.0' "$TEST_TMP/om.head"
check "and is" scrape_py --openmetrics "$TEST_TMP/om"
for part in services backends; do
	check "of $part as well" scrape "$TEST_TMP/om" "/metrics/$part" "$om"
	check "well formed" scrape_py --openmetrics "$TEST_TMP/om"
done
check "who would rather have text" scrape "$TEST_TMP/text" /metrics 'Accept: application/openmetrics-text;q=0.2,text/plain'
check "gets text" scrape_py "$TEST_TMP/text"
check "gzip when it is asked for" scrape "$TEST_TMP/zipped" /metrics 'Accept-Encoding: gzip'
check "says so" grep -qi '^content-encoding: gzip' "$TEST_TMP/zipped.head"
check "and is the same" bash -c 'gunzip <"$1" >"$1.plain"' unzip "$TEST_TMP/zipped"
check "well formed" scrape_py "$TEST_TMP/zipped.plain"
check "no gzip for who refuses it" scrape "$TEST_TMP/plain" /metrics 'Accept-Encoding: gzip;q=0, identity'
check "plain it is" scrape_py "$TEST_TMP/plain"
check "promtool finds nothing to say" bash -c 'promtool check metrics <"$1"' promtool "$TEST_TMP/plain"

# --- what devices are called -----------------------------------------------------------------------------------

# The one that packets leave by is renamed while it runs.
named()
{
	all named && /usr/bin/python3 - "$TEST_TMP/named.whole" "$1" <<-'PYTHON'
		import re, sys
		text = open(sys.argv[1], encoding="utf-8").read()
		found = re.findall(r'^weir_tx_lost_packets_total\{interface="((?:[^"\\]|\\.)*)"', text, re.M)
		sys.exit(sys.argv[2] not in found)
	PYTHON
}
now=eth0
for name in $'e"th\\0' $'a\\' $'b\xff' $'c\xc3\xa4'; do
	in_ns lb ip link set "$now" name "$name" || not_ok "renaming"
	now=$name
	case $name in
	e*) shown='e\"th\\0' ;;
	a*) shown='a\\' ;;
	b*) shown=$'b\xef\xbf\xbd' ;;
	*) shown=$name ;;
	esac
	check "a device called $(printf %q "$name") is a label" wait_for 5 named "$shown"
done
in_ns lb ip link set "$now" name eth0

# --- one list --------------------------------------------------------------------------------------------------

# listed: everything that include/lb/counters.h names is told, of each service and backend.
listed()
{
	local kind name metric column
	api GET /v1/stats >"$TEST_TMP/stats.json" && all listed || return 1
	while read -r kind name metric column; do
		if [[ $kind == word ]]; then
			jq -e --arg name "$name" 'all(.services[].backends[]; has($name))' "$TEST_TMP/stats.json" >/dev/null
		else
			jq -e --arg name "$name" 'all(.services[]; has($name))' "$TEST_TMP/stats.json" >/dev/null &&
				grep -q "^weir_service_${metric}_total{" "$TEST_TMP"/listed.{whole,services} &&
				grep -q "^weir_backend_${metric}_total{" "$TEST_TMP/listed.backends"
		fi || {
			echo "$kind $name is not told ($metric $column)"
			return 1
		}
	done < <(/usr/bin/python3 -B "$TEST_ROOT/scripts/dashboards.py" --counters)
}
check "what is counted is told: words, totals, metrics" listed

# --- scrapers --------------------------------------------------------------------------------------------------

check "readers that never read, and a thousand requests a second" nsenter --net="/run/netns/$LAB_PREFIX-lb" -- \
	/usr/bin/python3 "$TEST_ROOT/tests/e2e/scrapers.py" 127.0.0.1 9650 "$LBD_SOCKET"
check "afterwards all is as before" all after
check "nothing fell" rises again after
lbd_stop

done_testing
