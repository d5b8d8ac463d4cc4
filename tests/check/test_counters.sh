#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A counter that is added to the list of include/lb/counters.h comes to be everywhere: in the words that packets write,
# the sums and what is kept of them, the API, the metrics, lbctl. One is added to a copy of the list, and looked for in
# what the preprocessor makes of each of these places. That nobody has a list of its own beside is looked at as well.

# shellcheck disable=SC2317 # functions that check calls

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
		head -n 20 <<<"$output" | sed 's/^/# /'
	fi
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/include/lb" "$tmp/user/lbd/metrics" "$tmp/scripts"
sed -e 's/^#define LB_COUNTERS(X).*/&\n\tX(marvel_packets, marvels, "marvel", "what nobody has seen") \\/' \
	-e 's/^#define LB_TOTALS_MORE(X, A).*/&\n\tX(A, marvels, MARVELS, PACKETS, SERVICE, "marvel_sightings", "MARVELS", "Marvels") \\/' \
	include/lb/counters.h >"$tmp/include/lb/counters.h"
for header in include/lb/*.h; do
	[[ -e $tmp/$header ]] || cp "$header" "$tmp/$header"
done
cp user/lbd/metrics/metrics_list.h "$tmp/user/lbd/metrics"
cp scripts/dashboards.py scripts/alerts.py "$tmp/scripts"

# has FILE WORD...: what the preprocessor makes of a source has each of these.
has()
{
	local file=$1 word
	shift
	gcc -E -P -D_GNU_SOURCE -I"$tmp/include" -Iuser -Iuser/lib -Ibuild/gen "$file" >"$tmp/made.c" || return 1
	for word in "$@"; do
		grep -qF -- "$word" "$tmp/made.c" || {
			echo "$file knows nothing of $word"
			return 1
		}
	done
}

# does_not_fit: a ninth word does not go unnoticed.
does_not_fit()
{
	gcc -fsyntax-only -D_GNU_SOURCE -I"$tmp/include" -Iuser -Iuser/lib user/lib/engine/counts.c 2>&1 | grep -q 'one line'
}

metrics_have()
{
	local names
	names=$(/usr/bin/python3 -B "$tmp/scripts/dashboards.py" --metrics) || return 1
	grep -qx weir_service_marvel_sightings_total <<<"$names" && grep -qx weir_backend_marvel_sightings_total <<<"$names"
}

# one_list: whoever names four of the words by their names has a list of its own, but for those who count.
one_list()
{
	local words file found
	words=$(sed -n 's/^.*\bX(\([a-z_]*\), [a-z]*, "[a-z_]*",.*/\1/p' include/lb/counters.h | grep -v -e '_bytes$' -e '^word$')
	while read -r file; do
		found=$(grep -ow -F "$words" "$file" | sort -u | wc -l)
		[[ $found -lt 4 || $file == include/lb/counters.h || $file == bpf/* ]] || {
			echo "$file names $found of the words of include/lb/counters.h"
			return 1
		}
	done < <(git ls-files 'user/*.[ch]' 'include/*.h' 'bpf/*.[ch]')
}

check "a row was added to the list" grep -c marvel "$tmp/include/lb/counters.h"
check "packets write it" has bpf/../include/lb/types.h '__u64 marvel_packets;'
check "a line that has no room for it does not compile" does_not_fit
check "it is summed up, and kept" has user/lib/engine/counts.c 'sum->marvels +=' '(to)->marvels += (from)->marvels'
check "it is in /v1/stats, of backends and services" has user/lbd/stats/stats.c 'json_u64(json, "marvel",' 'json_u64(json, "marvels",'
check "services and backends have a metric of it" has user/lbd/metrics/metrics_services.c METRIC_SERVICE_MARVELS, METRIC_BACKEND_MARVELS,
check "which has a name and a help" has user/lbd/metrics/exposition.c '"weir_service_" "marvel_sightings" "_total"' '"Marvels" ", by backend."'
check "dashboards and pages are made with it" metrics_have
check "lbctl stats has a column of it" has user/lbctl/verbs/stats.c '"MARVELS"' LB_TOTAL_MARVELS
check "and adds it up" has user/lbctl/totals.c 'sum.marvels' 'json_double(backend, "marvel")'
check "there is no other list of them" one_list
echo "1..$n"
exit $failed
