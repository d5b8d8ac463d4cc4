# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What stories of failures share, on top of story-lib.sh: an lb-checkd that finds them, so that nobody has to say anything.

# shellcheck disable=SC2119 # without arguments
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/story-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}

HEALTH_PORT=7080

# The kernel's reset to a check that ended just as the map of its ports was made anew: nobody's service, and dropped.
# shellcheck disable=SC2034 # for no_drops
story_may_drop=unclaimed

# health_begin [CHECK]: as story_begin, with checks of all that clients use, and whoever makes them. CHECK: keys of the check,
# as JSON, over those of a TCP check.
health_begin()
{
	story_begin '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } |
		(.services[] | select(.name | test("^(talk|udp)")) | .health) = {
			"check": ({ "kind": "tcp", "interval_ms": 1000, "timeout_ms": 1000, "fall": 3, "fast_interval_ms": 250,
				"down_interval_ms": 500 } + '"${1:-{\}}"'),
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
	answers GET /v1/health '.checker.connected and ([.backends[] | .check.last == "ok"] | length >= 4 * '"$TRAFFIC_BACKENDS"' and all)'
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

# A backend says of itself how it is: says BACKEND STATUS [SECONDS]. Before health_begin for all of them.
says()
{
	echo "${@:2}" >"$TEST_TMP/says.$1.new"
	mv "$TEST_TMP/says.$1.new" "$TEST_TMP/says.$1"
}

# health_servers [CERTIFICATE]: one on each backend, that says what it is told to; their pids: ${health_pids[BACKEND]}. A
# certificate is copied for each.
declare -A health_pids
health_servers()
{
	local i
	for ((i = 1; i <= TRAFFIC_BACKENDS; i++)); do
		says "b$i" 200
		[[ -z ${1:-} ]] || cp "$1" "$TEST_TMP/certificate.b$i"
		spawn "b$i" python3 -B "$(dirname "${BASH_SOURCE[0]}")/health_server.py" $HEALTH_PORT "$TEST_TMP/says.b$i" \
			${1:+"$TEST_TMP/certificate.b$i"}
		# shellcheck disable=SC2034 # for the stories
		health_pids[b$i]=$spawned
		wait_for 10 listening "b$i" $HEALTH_PORT || not_ok "the health server of b$i starts"
	done
}

# health_begin_http CHECK [CERTIFICATE]: the same, asking the health servers.
health_begin_http()
{
	story_before_agent="health_servers ${2:-}"
	health_begin "$1"
}

# loses_packets BREAK MEND: the act of the stories in which a command keeps clients' packets from b4, of which its own address
# does not tell, and another one lets them through again.
loses_packets()
{
	local held
	story_crowd
	story_goes_on
	held=$(held b4)
	"$1" || not_ok "$1"
	check "its own address answers" in_ns lb curl -gsf --max-time 2 -o /dev/null "http://$(lab_backend4 4)/"
	check "checks find it" wait_for 10 health_is b4 open
	check "it drains first, and is then given up" wait_for 10 in_force b4 down
	check "it gets no new connections" avoided b4
	check "its clients are told, none is left hanging" wait_for 15 client_is v4 ".long.broken_by.b4 == $held"
	is "no other connection broke" "$(client v4 .long.broken)" "$held"
	"$2" || not_ok "$2"
	check "checks find that it is back" wait_for 20 health_is b4 closed
	check "it gets connections" reached b4
	story_goes_on
}

# server_of BACKEND: its pid
server_of()
{
	in_ns "$1" ss -Htlnp "sport = :$TRAFFIC_PORT" | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1
}
