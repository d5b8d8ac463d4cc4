#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every reason in include/lb/reasons.h is expected by some byte-exact test, and every one that tests expect is there.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
n=0
failed=0

while IFS=, read -r name action; do
	n=$((n + 1))
	action=${action// /}
	short=${name#*_}
	if cat tests/bpf/test_*.c | tr '\n\t' '  ' |
		grep -qE "expect_${action,,}\([^;]*[, ]${short}[,)]|LB_$name\>"; then
		echo "ok $n - $name is tested"
	else
		failed=$((failed + 1))
		echo "not ok $n - $name is tested"
		echo "# no test in tests/bpf expects it"
	fi
done < <(sed -n 's/^\tX([0-9]*, \([A-Z0-9_]*\), \([A-Z]*\),.*/\1,\2/p' include/lb/reasons.h)

if ((n == 0)); then
	echo "not ok 1 - include/lb/reasons.h can be read"
	failed=1
	n=1
fi
echo "1..$n"
exit $((failed > 0))
