#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The real Prometheus scrapes the real lbd, with lb-checkd and traffic: every expression of every dashboard and alert has
# data, the example configuration works, nothing was scraped twice or refused. In the lab's two arms (scripts/lab.sh).

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

lab_start --arm two --backends 3
lbd_init
lbd_config '.api.metrics = "127.0.0.1:9650" | .checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } |
	.sources = [ { name: "kube", uid: 64321, vips: [ { prefix: "198.18.0.0/16" } ], max_services: 4, max_backends: 12 } ] |
	.health = { "check": { "kind": "tcp", "interval_ms": 500, "timeout_ms": 500, "fall": 3 } }' >"$LBD_CONFIG"
lbd_start
check "the agent serves" lbd_serves
spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
checked()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok"] | length == 6 and all'
}
check "backends are checked" wait_for 10 checked
check "one is told to drain" answers PATCH '/v1/services/web/backends/b3?allow_break=1' '.applied' '{"state":"drain"}'

# --- the example, faster ---------------------------------------------------------------------------------------

cp "$TEST_ROOT/configs/prometheus/alerts.yml" "$TEST_TMP/alerts.yml"
sed 's/\(scrape_interval\|evaluation_interval\): .*/\1: 1s/' "$TEST_ROOT/configs/prometheus/prometheus.yml" >"$TEST_TMP/prometheus.yml"
check "promtool accepts the example" promtool check config "$TEST_ROOT/configs/prometheus/prometheus.yml"
spawn lb prometheus --config.file="$TEST_TMP/prometheus.yml" --storage.tsdb.path="$TEST_TMP/tsdb" --web.listen-address=127.0.0.1:9090
prometheus_log=$spawned_output
load_start

ask()
{
	in_ns lb curl -gsf --max-time 10 --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query
}

# has QUERY: it has data.
has()
{
	ask "$1" | jq -e '.status == "success" and (.data.result | length > 0)' >/dev/null
}
up()
{
	ask 'min by (job) (up)' | jq -e '[.data.result[] | .value[1] == "1"] | length == 3 and all' >/dev/null
}
check "all three are scraped" wait_for 30 up
check "for long enough for rates" wait_for 30 has 'count_over_time(up{job="weir-backends"}[20s]) >= 5'

queries=0 empty=0
while IFS= read -r query; do
	queries=$((queries + 1))
	wait_for 10 has "$query" || {
		empty=$((empty + 1))
		echo "$query" >>"$TEST_TMP/empty"
	}
done < <(/usr/bin/python3 "$TEST_ROOT/scripts/dashboards.py" --queries)
check "there are expressions to ask" test "$queries" -gt 100
is "every expression of every panel and alert has data" "$(cat "$TEST_TMP/empty" 2>/dev/null)" ""
diag "$queries expressions"

load_stop
is "as many packets of services as the balancer says" \
	"$(ask 'sum(weir_service_packets_total) > 0 and sum(weir_service_packets_total) <= sum(weir_backend_packets_total) + 10000' | jq '.data.result | length')" 1
is "nothing was scraped twice" "$(ask 'sum(prometheus_target_scrapes_sample_duplicate_timestamp_total) or vector(0)' | jq -r '.data.result[0].value[1]')" 0
# One that fires: the backends of one service are silenced.
quiet()
{
	in_ns lb curl -gsf http://127.0.0.1:9090/api/v1/rules |
		jq -e '[.data.groups[].rules[]] | length > 20 and all(.[]; .health == "ok" or .health == "unknown")' >/dev/null
}
check "every rule could be evaluated" wait_for 10 quiet
check "Prometheus has nothing to complain of" test -z "$(grep -E 'level=(error|warn)' "$prometheus_log" | grep -vE 'GOMAXPROCS|retention|Received SIGTERM')"
lbd_stop

done_testing
