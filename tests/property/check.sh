#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The slice of the property test that make check runs: fixed seeds, one of today's, and fewer steps under the
# sanitizers. A failure replays with: make property STEPS=n SEED=s (PROPERTY_VERBOSE=1 tells every step).

set -u
shopt -s extglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

number=0
failed=0

# run PROGRAM STEPS SEED NAME
run()
{
	local output line result=ok
	output=$("$1" "$2" "$3" 2>&1) || result="not ok"
	[[ $result == ok && $output == *"$2 steps, "@("0 violations"|*"all as the model has it")* ]] || { result="not ok" failed=1; }
	number=$((number + 1))
	echo "$result $number - $4: $2 steps, seed $3"
	while IFS= read -r line; do
		echo "# ${line#\# }"
	done <<<"$output"
}

for seed in 1 2 3; do
	run build/tests/property/property 700000 "$seed" "no planned change moves a flow"
done
run build/tests/property/property 700000 "$(date +%j%H%M)" "no planned change moves a flow, today"
run build/san/tests/property/property 100000 4 "the same under the sanitizers"
run build/tests/property/intent_model 300000 5 "the intent layer is as its model"
run build/san/tests/property/intent_model 50000 6 "the same under the sanitizers"
run build/tests/property/schedule_model 1000000 7 "plans are made when the model has it"
run build/san/tests/property/schedule_model 100000 8 "the same under the sanitizers"
echo "1..$number"
exit "$failed"
