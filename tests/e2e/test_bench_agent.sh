#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make bench-agent judges: an agent that stands still for 200 ms in every 10 s does not hold what it is to hold. What it
# measures is in a file, with every sample beside.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

output=$TEST_TMP/agent.json
"$TEST_ROOT/tests/bench/agent.py" --services 50 --backends 5 --seconds 11 --stop --anyway --output "$output" \
	>"$TEST_TMP/log" 2>&1
is "it ends with status 1" "$?" 1
check "each line has what, value, unit, target and holds" \
	jq -e 'length == 3 and all(has("what") and has("value") and has("unit") and has("target") and has("holds"))' "$output"
check "a stop of 200 ms in every 10 s does not hold" \
	jq -e '.[] | select(.what | test("loop delay")) | .holds == false' "$output"
check "memory is bounded all the same" jq -e '.[] | select(.what | test("memory")) | .holds' "$output"
check "every sample is kept" jq -e '.delays_ms | length > 200' "$TEST_TMP/agent-samples.json"
check "nothing is left behind" test -z "$(find /run/netns -name 'bench-agent-*' -newer "$TEST_TMP")"
sed 's/^/# /' "$TEST_TMP/log"
done_testing
