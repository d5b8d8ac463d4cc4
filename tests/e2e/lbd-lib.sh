# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of lbd share, on top of lib.sh: a configuration, an agent in the balancer's namespace, its API, and
# a client that never stops asking.

LBD=${LBD:-$LAB_BUILD/lbd}

# Call after lab_start.
lbd_init()
{
	LBD_CONFIG=$TEST_TMP/weir.json
	LBD_STATE=$TEST_TMP/state
	LBD_BPFFS=$LAB_DIR/bpf/weir
	LBD_SOCKET=$TEST_TMP/lbd.sock
	# shellcheck disable=SC2034 # for the tests
	LBD_ARGUMENTS=(-c "$LBD_CONFIG" --bpffs "$LBD_BPFFS" --state-dir "$LBD_STATE" --socket "$LBD_SOCKET")
}

# lbd_config [JQ FILTER]: the configuration of these tests, changed by the filter, to standard output.
lbd_config()
{
	jq "${1:-.}" <<-JSON
	{
	  "version": 1,
	  "hash_seed": "test",
	  "interfaces": [ { "name": "eth0", "xdp_mode": "native", "attach": "exclusive" } ],
	  "limits": { "flow_entries": 100000 },
	  "services": [
	    { "name": "web", "vip": "$LAB_VIP4", "protocol": "tcp", "port": 80, "forward": "ipip",
	      "backends": [
	        { "name": "b1", "address": "$(lab_backend4 1)" },
	        { "name": "b2", "address": "$(lab_backend4 2)" },
	        { "name": "b3", "address": "$(lab_backend4 3)" } ] },
	    { "name": "web6", "vip": "$LAB_VIP6", "protocol": "tcp", "port": 80, "forward": "ipip",
	      "backends": [
	        { "name": "b1", "address": "$(lab_backend6 1)" },
	        { "name": "b2", "address": "$(lab_backend6 2)" },
	        { "name": "b3", "address": "$(lab_backend6 3)" } ] } ]
	}
	JSON
}

# Starts an agent and waits until it serves; more arguments go to it. Its pid: $lbd_pid, its log: $lbd_log.
lbd_start()
{
	spawn lb "$LBD" "${LBD_ARGUMENTS[@]}" "$@"
	# shellcheck disable=SC2154 # set by spawn
	lbd_pid=$spawned lbd_log=$spawned_output
	wait_for "${LBD_WAIT:-15}" lbd_serves_or_ended
	lbd_serves || {
		process_gone "$lbd_pid" && echo "it has ended"
		diag <"$lbd_log"
		return 1
	}
}

lbd_serves()
{
	grep -q 'event=ready' "$lbd_log" && [[ $(api GET /v1/status | jq -r .pid) == "$lbd_pid" ]]
}

lbd_serves_or_ended()
{
	process_gone "$lbd_pid" || lbd_serves
}

lbd_stop()
{
	kill "-${1:-TERM}" "$lbd_pid"
	wait_for 10 process_gone "$lbd_pid" || return 1
	{ wait "$lbd_pid"; } 2>/dev/null
	set -- "${1:-TERM}" $?
	[[ $1 == KILL || $2 == 0 ]] || {
		echo "it ended with status $2"
		cat "$lbd_log"
		return 1
	}
}

# lbd_once [ARGUMENT...]: runs an agent that is to end by itself, in the foreground.
lbd_once()
{
	timeout "${LBD_WAIT:-15}" nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" "$@"
}

# api METHOD PATH [BODY or @FILE]: the answer's body.
api()
{
	local method=$1 path=$2
	shift 2
	curl -s --max-time 30 --unix-socket "$LBD_SOCKET" -X "$method" ${1:+--data-binary "$1"} "http://weir$path"
}

# api_status METHOD PATH [BODY]: the HTTP status alone.
api_status()
{
	local method=$1 path=$2
	shift 2
	curl -s --max-time 30 -o /dev/null -w '%{http_code}' --unix-socket "$LBD_SOCKET" -X "$method" \
		${1:+--data-binary "$1"} "http://weir$path"
}

# answers METHOD PATH JQ-FILTER [BODY]: succeeds if the filter is true of the answer.
answers()
{
	local answer
	answer=$(api "$1" "$2" "${@:4}")
	# jq is content with no answer at all.
	jq -e "$3" <<<"${answer:-null}" >/dev/null || {
		echo "not so: $3"
		head -c 2000 <<<"$answer"
		return 1
	}
}

lbd_resolved()
{
	answers GET /v1/backends '[.backends[] | select(.leaving | not) | .nexthop.resolved] | all'
}

# One request; the backend's name, if it answers.
fetch()
{
	in_ns client curl -gsf --max-time 3 "http://${1:-$LAB_VIP4}/"
}

# Asks without a pause until its file is gone; counts what fails. load_start [VIP]
load_start()
{
	load_file=$(mktemp "$TEST_TMP/load.XXXXXX")
	# shellcheck disable=SC2016
	spawn client bash -c 'n=0 failed=0
		while [[ -e $1 ]]; do
			curl -gsf --max-time 3 -o /dev/null "http://$2/" || { failed=$((failed + 1)); date +%T.%N >&2; }
			n=$((n + 1))
		done
		echo "requests $n failed $failed"' load "$load_file" "${1:-$LAB_VIP4}"
	load_pid=$spawned load_output=$spawned_output
}

# Ends the load; sets $load_requests and $load_failed.
load_stop()
{
	local line
	rm -f "$load_file"
	finish "$load_pid" 10
	line=$(grep '^requests' "$load_output")
	# shellcheck disable=SC2034 # for the tests
	load_requests=$(awk '{ print $2 }' <<<"$line") load_failed=$(awk '{ print $4 }' <<<"$line")
}

# act NAME COMMAND...: like check, but in this very shell, for what sets variables.
act()
{
	local name=$1
	shift
	if "$@" >"$TEST_TMP/act" 2>&1; then
		ok "$name"
	else
		not_ok "$name" "exit status $? of: $*" "$(cat "$TEST_TMP/act")"
	fi
}
