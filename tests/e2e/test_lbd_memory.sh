#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An agent that runs out of memory in the middle of a change, in the lab's one arm: whatever it has been given, a
# change that is not answered with success has not been made. What it may have is raised until the change succeeds.
# timeout: 300

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
limits='.limits = { "flow_entries": 10000, "backends": 40000 }'
lbd_config "$limits" >"$LBD_CONFIG"
lbd_config "$limits"' | .services |= [.[0] | .backends = [range(15000) |
	{ "name": "backend-\(.)", "address": "10.\(128 + . / 65536 | floor).\(. / 256 % 256 | floor).\(. % 256)" }]]' \
	>"$TEST_TMP/big.json"

# tried MIB: applies the large configuration with so much memory above what the agent has; sets $status and $made. What
# is bounded is what may be written: a heap reserves addresses far beyond that.
tried()
{
	local have
	lbd_start || return 1
	have=$(awk '/^VmData/ { print $2 }' "/proc/$lbd_pid/status")
	prlimit --pid "$lbd_pid" --data=$(((have + $1 * 1024) * 1024)): || return 1
	status=$(api_status POST '/v1/apply?allow_break=1' @"$TEST_TMP/big.json")
	prlimit --pid "$lbd_pid" --data=unlimited || return 1
	made=$(api GET /v1/status | jq '.services == 1')
	lbd_stop TERM && lbd_once --detach >/dev/null 2>&1 && rm -r "$LBD_STATE"
}

refused=0
for mib in {2..40..1}; do
	tried "$mib" || {
		not_ok "with $mib MiB it is tried" "$(cat "$lbd_log")"
		break
	}
	if [[ $status == 200 ]]; then
		is "with $mib MiB it succeeds, and is made" "$made" true
		break
	fi
	refused=$((refused + 1))
	[[ $status/$made == 5??/false || $status/$made == 413/false ]] ||
		not_ok "with $mib MiB it fails, and is not made" "HTTP status $status, made: $made"
done
check "it was refused with less" test "$refused" -gt 3

done_testing
