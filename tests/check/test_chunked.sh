#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The packet path over tables in chunks, as kernels before 6.8 have it, on whatever kernel this is: the same tests as
# over flat ones, which a newer kernel gets (user/lbd/kernel/flat_tables.h).
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export CHUNKED=1
number=0 failed=0
for program in build/tests/bpf/test_*; do
	[[ $program == *.* ]] && continue
	number=$((number + 1))
	if "$program" >"$log" 2>&1 && ! grep -q '^not ok' "$log" && grep -q '^ok' "$log"; then
		echo "ok $number - ${program##*/} with tables in chunks"
	else
		echo "not ok $number - ${program##*/} with tables in chunks"
		grep -v '^ok' "$log" | sed 's/^/# /' | tail -n 40
		failed=1
	fi
done
echo "1..$number"
exit "$failed"
