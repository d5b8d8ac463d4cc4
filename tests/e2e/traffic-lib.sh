# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real traffic for the end-to-end tests and the stories, on top of lib.sh and lbd-lib.sh: a configuration with all
# protocols, servers that name themselves, clients that know when something breaks (tests/stories), and the check that
# every packet is accounted for.

TRAFFIC_PORT=7000
SINK_PORT=7001
TRAFFIC_FORWARD=ipip
TRAFFIC_BACKENDS=3
TRAFFIC_INTERFACES="eth0"
TRAFFIC_IDLE=900 TRAFFIC_LEARNING=30

# One service with all backends. traffic_service NAME VIP PROTOCOL PORT 4|6
traffic_service()
{
	local i comma='' address=lab_backend$5
	printf '{ "name": "%s", "vip": "%s", "protocol": "%s", "port": %s, "forward": "%s", "idle_timeout_s": %d,' \
		"$1" "$2" "$3" "$4" "$TRAFFIC_FORWARD" "$TRAFFIC_IDLE"
	printf ' "learning_window_s": %d, "backends": [' "$TRAFFIC_LEARNING"
	for ((i = 1; i <= TRAFFIC_BACKENDS; i++)); do
		printf '%s { "name": "b%d", "address": "%s" }' "$comma" "$i" "$("$address" "$i")"
		comma=,
	done
	printf ' ] }'
}

# traffic_config [JQ FILTER]: services web, web6 (nginx), talk, talk6 and udp, udp6 (serve), iperf,
# iperf6, sink, sink6 (which answers with the sha256 of what it was sent).
traffic_config()
{
	local name
	{
		printf '{ "version": 1, "hash_seed": "test", "limits": { "flow_entries": 100000 },'
		printf '"tunnel_source": { "ipv4": "172.16.0.0/16", "ipv6": "fd00:77::/64" }, "interfaces": ['
		for name in $TRAFFIC_INTERFACES; do
			printf '%s{ "name": "%s", "attach": "exclusive" }' "$([[ $name == "${TRAFFIC_INTERFACES%% *}" ]] || echo ,)" "$name"
		done
		printf '], "services": ['
		traffic_service web "$LAB_VIP4" tcp 80 4
		printf ,
		traffic_service web6 "$LAB_VIP6" tcp 80 6
		printf ,
		traffic_service talk "$LAB_VIP4" tcp $TRAFFIC_PORT 4
		printf ,
		traffic_service talk6 "$LAB_VIP6" tcp $TRAFFIC_PORT 6
		printf ,
		traffic_service udp "$LAB_VIP4" udp $TRAFFIC_PORT 4
		printf ,
		traffic_service udp6 "$LAB_VIP6" udp $TRAFFIC_PORT 6
		printf ,
		traffic_service iperf "$LAB_VIP4" tcp 5201 4
		printf ,
		traffic_service iperf6 "$LAB_VIP6" tcp 5201 6
		printf ,
		traffic_service sink "$LAB_VIP4" tcp $SINK_PORT 4
		printf ,
		traffic_service sink6 "$LAB_VIP6" tcp $SINK_PORT 6
		printf '] }'
	} | jq "${1:-.}"
}

# Names of the services that serve answers.
# shellcheck disable=SC2034 # for the tests
TRAFFIC_TALK="talk talk6 udp udp6"

# Servers on all backends.
serve_start()
{
	local i
	for ((i = 1; i <= TRAFFIC_BACKENDS; i++)); do
		spawn "b$i" "$LAB_BUILD/tests/stories/serve" "b$i" $TRAFFIC_PORT
		spawn "b$i" socat TCP6-LISTEN:$SINK_PORT,ipv6only=0,fork,reuseaddr EXEC:sha256sum
		wait_for 5 listening "b$i" $TRAFFIC_PORT && wait_for 5 listening "b$i" $SINK_PORT || return 1
	done
}

# More ports and quicker reuse for a client of many connections.
client_init()
{
	in_ns client sysctl -qw net.ipv4.ip_local_port_range="2000 65000" net.ipv4.tcp_tw_reuse=1
}

declare -A client_pids client_outputs

# client_start NAME ADDRESS [OPTION of load...]: the report is in $(client NAME)
client_start()
{
	local name=$1 address=$2
	shift 2
	spawn client "$LAB_BUILD/tests/stories/load" "$address" $TRAFFIC_PORT --report "$TEST_TMP/client.$name" "$@"
	# shellcheck disable=SC2154 # set by spawn
	client_pids[$name]=$spawned client_outputs[$name]=$spawned_output
}

# client NAME [JQ FILTER]: (a part of) the report of a client, running or not.
client()
{
	jq -cr "${2:-.}" "$TEST_TMP/client.$1"
}

# client_is NAME JQ FILTER: is it true of the report?
client_is()
{
	[[ -e $TEST_TMP/client.$1 ]] && jq -e "$2" "$TEST_TMP/client.$1" >/dev/null
}

# Ends a client. If something was broken it fails, and tells of it. client_stop NAME
client_stop()
{
	kill "${client_pids[$1]}" 2>/dev/null
	wait_for 30 process_gone "${client_pids[$1]}"
	client_is "$1" '.done and ([.long, .short, .udp] | map(.broken) | add) == 0' || {
		cat "${client_outputs[$1]}" "$TEST_TMP/client.$1"
		return 1
	}
}

# client_broken NAME [JQ FILTER]: "broken of opened", all kinds together.
client_broken()
{
	client "$1" '[.long, .short, .udp] | "\(map(.broken) | add) of \(map(.opened) | add)"'
}

# Requests of a client go on: so many answers more than now, of all kinds. client_more NAME N [SECONDS]
client_more()
{
	local had
	wait_for 5 test -e "$TEST_TMP/client.$1" || return 1
	had=$(client "$1" '.long.answers + .short.answers + .udp.answers')
	wait_for "${3:-30}" client_is "$1" "(.long.answers + .short.answers + .udp.answers) >= $had + $2"
}

# Sends a file of 20 MiB through the balancer and compares what arrived. upload ADDRESS (in brackets when IPv6)
upload()
{
	[[ -e $TEST_TMP/upload ]] || head -c 20M /dev/urandom >"$TEST_TMP/upload"
	[[ $(in_ns client socat -t 30 - "TCP:$1:$SINK_PORT" <"$TEST_TMP/upload") == "$(sha256sum <"$TEST_TMP/upload")" ]]
}

# --- every packet is accounted for ------------------------------------------------------------------------------

# A counter of the veth's own, summed over its queues and the given interfaces of the balancer.
# veth_counter NAME INTERFACE...
veth_counter()
{
	local name=$1 interface
	shift
	for interface; do
		in_ns lb ethtool -S "$interface"
	done | awk -v name="$name" '$1 ~ ("rx_queue_[0-9]+_" name ":$") { sum += $2 } END { print sum + 0 }'
}

# The driver's packets, by fate, in the order of lbd_counters.
veth_counters()
{
	local name
	for name in xdp_packets xdp_tx xdp_redirect xdp_drops; do
		veth_counter "$name" "$@"
	done | paste -sd ' '
}

lbd_counters()
{
	api GET /v1/stats | jq -r '.totals | "\(.rx) \(.tx) \(.redirect) \(.drop) \(.rx - .tx - .redirect - .pass - .drop) \(.tx_lost)"'
}

# Packets may come in between two looks: look again then. What the program sent back out the driver may have refused,
# as veth does when the peer's queue is full; it counts those apart, and lbd must know of each.
# CONSERVED_LOSS=redirect: it may also have dropped what the program redirected, as it does when the link is down; each
# such packet is counted by both.
conserved_now()
{
	local -a veth lbd
	local lost refused
	read -ra lbd < <(lbd_counters)
	read -ra veth < <(veth_counters "$@")
	lost=$(($(veth_counter drops "$@") - conserved_base[4]))
	refused=$(($(veth_counter xdp_tx_errors "$@") - conserved_base[5]))
	echo "lbd: rx, tx, redirect, drop, rest, tx lost: ${lbd[*]}; veth: ${veth[*]}, lost: $lost, refused: $refused;" \
		"before: ${conserved_base[*]}"
	((lbd[4] == 0 && lbd[0] > 0)) || return 1
	[[ ${CONSERVED_LOSS:-} == redirect ]] && veth[2]=$((veth[2] + lost)) lost=0
	((lost == 0 && lbd[5] == refused)) || return 1
	veth[1]=$((veth[1] + refused))
	for i in 0 1 2 3; do
		((lbd[i] == veth[i] - conserved_base[i])) || return 1
	done
}

# To be called before lbd attaches for the first time, when the veths have counted before; otherwise they start at 0.
conserved_base=(0 0 0 0 0 0)

# conserved [INTERFACE...]: the check that every test ends with, when its clients have.
conserved()
{
	local interfaces=("$@")
	(($#)) || read -ra interfaces <<<"$TRAFFIC_INTERFACES"
	check "every packet is accounted for, exactly" wait_conserved "${interfaces[@]}"
}

wait_conserved()
{
	wait_for 10 conserved_now "$@" || {
		conserved_now "$@"
		return 1
	}
}
