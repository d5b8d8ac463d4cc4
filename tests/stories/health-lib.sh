# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What stories of failures share, on top of story-lib.sh: an lb-checkd that finds them, so that nobody has to say anything.

# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/story-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

# health_begin: as story_begin, with checks of all that clients use, and whoever makes them.
health_begin()
{
	story_begin '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } |
		(.services[] | select(.name | test("^(talk|udp)")) | .health) = {
			"check": { "kind": "tcp", "interval_ms": 1000, "timeout_ms": 1000, "fall": 3, "fast_interval_ms": 250,
				"down_interval_ms": 500 },
			"breaker": { "wait_ms": 500, "ramp_ms": 500, "dead_after_ms": 2000 } }'
	checkd_start
	wait_for 10 health_knows || not_ok "all are checked"
}

checkd_start()
{
	spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
	# shellcheck disable=SC2034,SC2154 # for the stories; set by spawn
	checkd_pid=$spawned
}

health_knows()
{
	answers GET /v1/health '.checker.connected and ([.backends[] | .check.last == "ok"] | length >= 16 and all)'
}

# health_is BACKEND STATE: in all services that clients use.
health_is()
{
	answers GET /v1/health "[.backends[] | select(.backend == \"$1\") | .breaker.state == \"$2\"] | length >= 4 and all"
}

# in_force BACKEND STATE
in_force()
{
	answers GET /v1/services/talk ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .state == \"$2\""
}

# server_of BACKEND: its pid
server_of()
{
	in_ns "$1" ss -Htlnp "sport = :$TRAFFIC_PORT" | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1
}
