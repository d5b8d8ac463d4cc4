#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Dashboards, alerts and their pages are what scripts/dashboards.py makes of the lists, and no metric is asked for that
# does not exist; each alert fires by what is bad and stays calm by what is not.

# shellcheck disable=SC2317,SC2001 # functions that check calls

set -u
cd "$(dirname "$0")/../.." || exit 1
n=0
failed=0

# check NAME COMMAND...
check()
{
	local name=$1 output
	shift
	n=$((n + 1))
	if output=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		failed=1
		echo "not ok $n - $name"
		sed 's/^/# /' <<<"$output"
	fi
}

all_are_told()
{
	local name
	# Every metric is in a dashboard.
	for name in $(/usr/bin/python3 -B scripts/dashboards.py --metrics); do
		grep -qE "\b$name(_bucket)?\b" configs/grafana/*.json || {
			echo "no dashboard has $name"
			return 1
		}
	done
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# unknown: a metric that is not in the list is refused.
unknown()
{
	mkdir -p "$tmp/scripts" "$tmp/user/lbd/metrics" "$tmp/include/lb"
	cp include/lb/counters.h "$tmp/include/lb"
	cp scripts/dashboards.py scripts/alerts.py "$tmp/scripts"
	grep -v '"weir_generation"' user/lbd/metrics/metrics_list.h >"$tmp/user/lbd/metrics/metrics_list.h"
	! /usr/bin/python3 -B "$tmp/scripts/dashboards.py"
}

check "what is here is what scripts/dashboards.py makes" /usr/bin/python3 -B scripts/dashboards.py --check
check "every metric is in a dashboard" all_are_told
check "a metric that is not in the list is refused" unknown
for file in configs/grafana/*.json; do
	check "$file is JSON with panels" jq -e '(.panels | length) > 3 and (.uid | startswith("weir-"))' "$file"
done
check "promtool accepts the rules" promtool check rules configs/prometheus/alerts.yml
check "every alert fires, and stays calm" promtool test rules tests/check/alerts_test.yml
echo "1..$n"
exit $failed
