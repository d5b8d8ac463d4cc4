#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two balancers of a fleet compare their rings, over the HTTP address of one of them: what would send a flow that moves
# between them to another backend is told, what only differs for moments is not.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2154 # functions that check calls; default arguments; lbd-lib
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

PEER=http://10.76.0.2:9650

# The second one, in the client's namespace, and its lbctl.
other_start()
{
	lbd_config "$1" >"$TEST_TMP/other.json"
	spawn client "$LBD" -c "$TEST_TMP/other.json" --bpffs "$LAB_DIR/bpf/other" --state-dir "$TEST_TMP/other.state" \
		--socket "$TEST_TMP/other.sock"
	other_pid=$spawned
	wait_for 15 other status
}

other()
{
	in_ns client "$LAB_BUILD/lbctl" --socket "$TEST_TMP/other.sock" "$@"
}

# Applies another configuration to the second one, and says what it finds. found_with JQ-FILTER
found_with()
{
	lbd_config "$1" >"$TEST_TMP/other.json"
	other apply -f "$TEST_TMP/other.json" --yes --allow-ring-resize >/dev/null || return 1
	other status --peer "$PEER"
}

# differs NAME PATTERN JQ-FILTER
differs()
{
	local output code
	output=$(found_with "$3" 2>&1)
	code=$?
	is "$1: exit status" "$code" 3
	check "$1: it is told" grep -qE "$2" <<<"$output"
}

lab_start --backends 3
lbd_init
lbd_config '.api.metrics = "10.76.0.2:9650"' >"$LBD_CONFIG"
lbd_start || not_ok "the first balancer starts"
other_start '.api.metrics = ""' || not_ok "the second balancer starts"

is "the same configuration builds the same rings" "$(other status --peer "$PEER")" \
	"$PEER builds the same rings (2 services)"
is "a slash at the end of the URL does not matter, nor the order of backends" \
	"$(found_with '.api.metrics = "" | .services[].backends |= reverse' >/dev/null; other -j status --peer "$PEER/")" \
	"{\"peer\":\"$PEER/\",\"same\":true,\"differences\":[]}"
is "the status has one digest of all" "$(other -j status | jq -c .rings)" "$(api GET /v1/status | jq -c .rings)"
differs "another weight" "service web differs: its backends" '.services[0].backends[0].weight = 7'
differs "a ring of another size" "service web6 has a ring of [0-9]+ slots there and 65536 here: pin ring_size" \
	'.services[1].ring_size = 65536'
differs "a service that only one has" "service web6 is there only" 'del(.services[1])'
check "the same again" found_with .
other backend set web b1 --state drain >/dev/null
differs "what was set by hand" "what was set by hand differs" .
check "doctor names it" grep -q "peer.*what was set by hand differs\|what was set by hand differs" \
	<(other doctor "$TEST_TMP/other.json" --peer "$PEER")
other backend set web b1 --reset >/dev/null
refuse "a balancer that is not there" "cannot connect to http://10.76.0.2:9651: is it api.metrics of that balancer" \
	other status --peer http://10.76.0.2:9651
refuse "what is no balancer" "answered GET /rings with status 404" other status --peer "http://$(lab_backend4 1)"
refuse "a URL that is none" "does not answer|cannot connect|URL" other status --peer "ftp://x"
kill "$other_pid"
wait_for 10 process_gone "$other_pid"
nsenter --net="/run/netns/$LAB_PREFIX-client" -- "$LBD" -c "$TEST_TMP/other.json" --bpffs "$LAB_DIR/bpf/other" \
	--state-dir "$TEST_TMP/other.state" --detach >/dev/null 2>&1
rm -rf "$TEST_TMP/other.state"
other_start '.api.metrics = "" | .hash_seed = "other"' || not_ok "the second balancer starts anew"
is "another seed" "$(other status --peer "$PEER"; echo "$?")" "$PEER: hash_seed is another: no ring is the same
3"
done_testing
