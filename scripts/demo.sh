#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo: a lab of network namespaces (scripts/lab.sh), lbd with configs/demo.json, and real traffic with curl over
# IPv4 and IPv6 through native XDP, while backends are drained, the agent is killed, and a backend dies. Needs root and what
# `make all` builds; `make demo` does that. Done in less than 90 seconds; cleans up, also when interrupted.
#
#   KEEP=1 scripts/demo.sh     leaves the lab up and prints what to type next
#
# The last line is "demo: R requests over B backends, F failed, D downloads intact of D". Exit status 0: nothing
# failed, every backend has answered, every download is intact.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# shellcheck source=scripts/lab.sh
. scripts/lab.sh

LAB_PREFIX=${DEMO_PREFIX:-demo}
lab=$LAB_ROOT/$LAB_PREFIX
run=$lab/run # what is kept with KEEP=1
backends=3
rate=1600k # of each download: 64 MiB in 41 s
pids=()
kept=no

# --- saying ----------------------------------------------------------------------------------------------------

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

title()
{
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

say()
{
	printf '  %s\n' "$*"
}

# Shows a command as it would be typed, and runs it.
typed()
{
	printf '  $ %s\n' "$*"
	"$@" | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}

die()
{
	echo "demo: $*" >&2
	exit 1
}

# --- coming and going ------------------------------------------------------------------------------------------

cleanup()
{
	local code=$?
	trap - EXIT
	trap '' INT TERM HUP PIPE
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
	if [[ $kept == no ]]; then
		[[ $code -lt 128 ]] || echo "demo: interrupted, cleaning up" >&2
		lab_down
	fi
	exit "$code"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for()
{
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.05
	done
}

# --- the agent -------------------------------------------------------------------------------------------------

export LBCTL_SOCKET=$run/lbd.sock
lbctl=build/lbctl

lbd_serves()
{
	kill -0 "$lbd" && [[ $($lbctl -j status | jq .pid) == "$lbd" ]]
}

lbd_start()
{
	nsenter --net="/run/netns/$LAB_PREFIX-lb" -- setsid build/lbd -c "$run/demo.json" --bpffs "$lab/bpf/weir" \
		--state-dir "$run/state" --socket "$LBCTL_SOCKET" >>"$run/lbd.log" 2>&1 9>&- &
	lbd=$!
	disown "$lbd"
	wait_for 30 lbd_serves || {
		cat "$run/lbd.log" >&2
		die "lbd does not start"
	}
}

# Asks the backends; lbd may come and go meanwhile.
checkd_start()
{
	nsenter --net="/run/netns/$LAB_PREFIX-lb" -- setsid build/lb-checkd --socket "$run/checkd.sock" >>"$run/checkd.log" 2>&1 9>&- &
	disown $!
}

# healthy N: so many backends, of both services together, have a closed breaker and have just answered.
healthy()
{
	$lbctl -j health | jq -e "[.backends[] | select(.breaker.state == \"closed\" and .check.last == \"ok\")] | length == $1"
}

# What has happened to health since the given event, without its time.
health_events()
{
	$lbctl -j events | jq -r ".events[] | select(.id > $1 and .kind == \"health\") | .message | select(startswith(\"service=\"))"
}

last_event()
{
	$lbctl -j events | jq '[.events[].id] | max'
}

gone()
{
	! kill -0 "$1"
}

resolved()
{
	$lbctl -j backend list | jq -e '[.backends[].nexthop.resolved] | length == 6 and all'
}

# --- traffic ---------------------------------------------------------------------------------------------------

client=(nsenter "--net=/run/netns/$LAB_PREFIX-client" --)

# One connection for each request, which prints two lines: what the backend says, which is its name, and the status
# with the time it took.
requests=("${client[@]}" stdbuf -oL curl -s -H 'Connection: close' --max-time 10 -w '%{http_code} %{time_total}\n')

# Both families, a hundred connections a second each, until traffic_stop.
traffic_start()
{
	"${requests[@]}" --rate 6000/m "http://$LAB_VIP4/id?[1-1000000]" >>"$run/v4" 2>/dev/null 9>&- &
	traffic=($!)
	"${requests[@]}" --rate 6000/m "http://[$LAB_VIP6]/id?[1-1000000]" >>"$run/v6" 2>/dev/null 9>&- &
	traffic+=($!)
	pids+=("${traffic[@]}")
	disown "${traffic[@]}"
}

traffic_stop()
{
	kill "${traffic[@]}"
	wait_for 5 gone "${traffic[0]}"
	wait_for 5 gone "${traffic[1]}"
}

# Lines of all requests so far.
place()
{
	cat "$run/v4" "$run/v6" | wc -l
}

# answered PLACE N: have N requests ended since that place?
answered()
{
	(($(place) >= $1 + 2 * $2))
}

# Waits until so many requests more have ended.
traffic_more()
{
	wait_for 20 answered "$(place)" "$1" || say "(the client is slow: fewer than $1 requests in 20 s)"
}

# Where since begins to count: requests that have ended so far.
mark()
{
	mark4=$(grep -c '^[0-9]' "$run/v4") mark6=$(grep -c '^[0-9]' "$run/v6")
}

# One line: how many requests each backend answered since the mark, how many failed, and the slowest.
since()
{
	awk -v n=$backends '
		/^b[0-9]+$/ { name = $1; next }
		!/^[0-9]+ / { next }
		skip-- > 0 { name = ""; next }
		{
			if ($1 == 200 && name)
				by[name]++
			else
				failed++
			if ($2 > slowest)
				slowest = $2
			name = ""
		}
		END {
			for (i = 1; i <= n; i++)
				printf "b%d %d, ", i, by["b" i]
			printf "failed %d; slowest %.0f ms\n", failed, 1000 * slowest
		}' "skip=$mark4" "$run/v4" "skip=$mark6" "$run/v6"
}

# Requests and failures and backends of everything so far: "R F B".
totals()
{
	cat "$run/v4" "$run/v6" | awk '
		/^b[0-9]+$/ { name = $1; next }
		/^[0-9]+ / { requests++; if ($1 == 200 && name) by[name]; else failed++; name = "" }
		END { print requests + 0, failed + 0, length(by) }'
}

# --- downloads -------------------------------------------------------------------------------------------------

downloads=()

# The first source port, at or above the given one, from which the service sends a connection to this backend.
# port_for BACKEND FROM SOURCE DESTINATION
port_for()
{
	local port
	for ((port = $2; port < $2 + 400; port++)); do
		if [[ $($lbctl -j explain tcp "$3:$port" "$4:80" --syn | jq -r .backend) == "$1" ]]; then
			echo "$port"
			return
		fi
	done
	return 1
}

# download_start BACKEND 4|6
download_start()
{
	local source=198.51.100.2 vip=$LAB_VIP4 n=${#downloads[@]} port
	[[ $2 == 4 ]] || source="[2001:db8:51::2]" vip="[$LAB_VIP6]"
	port=$(port_for "$1" $((20000 + 1000 * n)) "$source" "$vip") || die "no connection would go to $1"
	"${client[@]}" curl -gsf --local-port "$port" -o "$run/download.$n" "http://$vip/rate/$rate/big" 9>&- &
	downloads+=($!)
	pids+=($!)
	disown $!
	say "download $((n + 1)): IPv$2, from port $port, by $1"
}

# The file grows, so the connection is there.
download_begun()
{
	(($(stat -c %s "$run/download.$1") > 0))
}

downloads_show()
{
	local n line='' over=0
	for n in "${!downloads[@]}"; do
		line+=$(printf '%s%d MiB' "${line:+, }" $(($(stat -c %s "$run/download.$n") >> 20)))
		kill -0 "${downloads[n]}" 2>/dev/null || over=$((over + 1))
	done
	((over == 0)) || line+=" ($over not running any more)"
	say "downloads, of 64 MiB each: $line"
}

downloads_over()
{
	local pid
	for pid in "${downloads[@]}"; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}

# Sets $intact.
downloads_judge()
{
	local n sum
	intact=0
	for n in "${!downloads[@]}"; do
		sum=$(sha256sum <"$run/download.$n")
		if [[ ${sum%% *} == "$LAB_BIG_SHA256" ]]; then
			intact=$((intact + 1))
		else
			say "download $((n + 1)) is damaged: $(stat -c %s "$run/download.$n") bytes, sha256 ${sum%% *}"
		fi
	done
}

# --- the acts --------------------------------------------------------------------------------------------------

# set_state BACKEND STATE: in both services.
set_state()
{
	typed $lbctl backend set web "$1" --state "$2" | grep -v '^ *\(BACKEND\|b[0-9]\) '
	$lbctl backend set web6 "$1" --state "$2" >/dev/null || die "cannot set $1 of web6 to $2"
}

act_topology()
{
	title "The lab: every box is a network namespace"
	sed 's/^/  /' <<-'DRAWING'
	                      203.0.113.10  2001:db8:113::10  (the VIPs)
	+--------+   +--------+   +-----------------+   +--------+   +-- b1 --  nginx, weight 150
	| client |---| router |---| balancer  (lbd) |---| switch |---+-- b2 --  nginx, weight 150
	+--------+   +--------+   |   native XDP    |   +--------+   +-- b3 --  nginx, weight 100
	                  |       +-----------------+        |
	                  +----------------------------------+
	                        answers go straight back
	DRAWING
	echo
	say "the balancer puts packets into IPIP; b1 to b3 take them out (lb-backend) and have the VIPs on lo"
}

act_start()
{
	title "lbd starts"
	jq --arg socket "$run/checkd.sock" '.checker.socket = $socket' configs/demo.json >"$run/demo.json"
	lbd_start
	checkd_start
	typed $lbctl status
	wait_for 10 resolved || die "the next hops are not resolved"
	[[ $($lbctl -j status | jq -r '.interfaces[0].mode') == native ]] || die "XDP is not native here"
}

act_spread()
{
	local name slots
	title "Requests per backend: 400 connections over IPv4, 400 over IPv6"
	"${requests[@]}" "http://$LAB_VIP4/id?[1-400]" >>"$run/v4" || true
	"${requests[@]}" "http://[$LAB_VIP6]/id?[1-400]" >>"$run/v6" || true
	slots=$($lbctl -j backend list web | jq -r '.backends[] | "\(.name) \(.share * 100)"')
	printf '  %-9s %6s %6s   %s\n' BACKEND IPv4 IPv6 'SHARE OF THE RING'
	for name in b1 b2 b3; do
		printf '  %-9s %6d %6d   %4.1f %%\n' $name "$(grep -c "^$name$" "$run/v4")" "$(grep -c "^$name$" "$run/v6")" \
			"$(awk -v b=$name '$1 == b { print $2 }' <<<"$slots")"
	done
}

act_downloads()
{
	title "Long downloads begin; new connections keep arriving from here on, 200 a second"
	download_start b1 4
	download_start b2 6
	download_start b3 4
	for n in 0 1 2; do
		wait_for 10 download_begun $n || die "download $((n + 1)) does not begin"
	done
	traffic_start
	traffic_more 50
}

act_neighbours()
{
	title "Download 1 is b1's: its neighbours b2 and b3 are drained"
	set_state b2 drain
	set_state b3 drain
	mark
	traffic_more 200
	say "new connections since: $(since)"
	downloads_show
	say "they come back:"
	set_state b2 active
	set_state b3 active
	mark
	traffic_more 200
	say "new connections since: $(since)"
}

act_kill()
{
	title "kill -9 of lbd (pid $lbd)"
	kill -9 "$lbd"
	wait_for 5 gone "$lbd"
	mark
	traffic_more 200
	say "new connections without an agent: $(since)"
	downloads_show
	say "lbd starts again, and takes over what is there:"
	mark
	lbd_start
	grep 'adopted' "$run/lbd.log" | tail -n 1 | sed 's/^/    /'
	traffic_more 100
	say "new connections since: $(since)"
}

act_drain()
{
	title "A fourth of the pool is drained: b3, weight 100 of 400"
	set_state b3 drain
	mark
	traffic_more 300
	say "new connections since: $(since)"
	downloads_show
	typed $lbctl backend list web
}

act_end()
{
	title "The downloads end; traffic goes on until then"
	wait_for 60 downloads_over || say "a download does not end"
	traffic_stop
	downloads_judge
	typed $lbctl status | grep -E 'packets|slots|\$'
	$lbctl -j stats | jq -e '.totals | .rx == .tx + .redirect + .pass + .drop' >/dev/null ||
		die "packets received are not those sent, passed and dropped"
	say "every packet received was sent on, passed or dropped: the sum holds"
}

# Requests fail until it is found: these are not counted among those of planned changes.
act_health()
{
	local event nginx
	title "The nginx of b1 is killed, and nobody says so"
	set_state b3 active >/dev/null
	wait_for 20 healthy 6 || die "not all backends are healthy"
	event=$(last_event)
	: >"$run/v4"
	: >"$run/v6"
	traffic_start
	nginx=$(<"$lab/b1/nginx.pid")
	kill -KILL $(pgrep -P "$nginx") "$nginx"
	wait_for 10 healthy 4 || die "checks do not find it"
	wait_for 5 grep -q 'to=open' <(health_events "$event") || true
	health_events "$event" | sed 's/^/    /'
	mark
	traffic_more 200
	say "new connections since: $(since)"
	typed $lbctl health web
	say "nginx is started again:"
	event=$(last_event)
	lab_exec "$LAB_PREFIX-b1" nginx -c "$lab/b1/nginx.conf" -p "$lab/b1" -e "$lab/b1/error.log" 9>&-
	wait_for 20 healthy 6 || die "checks do not find that it is back"
	health_events "$event" | sed 's/^/    /'
	mark
	traffic_more 200
	say "new connections since: $(since)"
	traffic_stop
}

keep()
{
	kept=yes
	title "The lab is up. What to type next"
	sed 's/^/  /' <<-TEXT
	cd $PWD
	export LBCTL_SOCKET=$LBCTL_SOCKET
	build/lbctl                                              # status
	build/lbctl backend list
	build/lbctl backend set web b2 --weight 10
	build/lbctl health
	build/lbctl explain tcp 198.51.100.2:4000 $LAB_VIP4:80 --syn
	build/lbctl stats --delta --interval 1
	scripts/lab.sh exec $LAB_PREFIX-client curl http://$LAB_VIP4/
	scripts/lab.sh exec $LAB_PREFIX-client curl -g 'http://[$LAB_VIP6]/'
	scripts/lab.sh exec $LAB_PREFIX-sw tcpdump -ni lb -c 5 proto 4     # what goes to backends, while another terminal asks
	tail -f $run/lbd.log
	scripts/lab.sh down --prefix $LAB_PREFIX                                # when done
	TEXT
}

# --- the play --------------------------------------------------------------------------------------------------

[[ $EUID -eq 0 ]] || die "must be root (sudo make demo)"
for program in build/lbd build/lbctl build/lb-backend build/lb-checkd; do
	[[ -x $program ]] || die "$program is missing: run make"
done
for program in curl jq nginx ethtool; do
	type $program >/dev/null 2>&1 || die "$program is missing: run scripts/setup.sh"
done

# One at a time; what an earlier one has left (KEEP=1, a power cut) goes first.
exec 9>"/run/lock/weir-$LAB_PREFIX.lock"
flock -n 9 || die "another demo is running"
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM
[[ ! -e $lab ]] || lab_down
SECONDS=0
act_topology
lab_up --arm two --backends $backends 9>&- || die "the lab does not come up"
mkdir "$run"
: >"$run/v4"
: >"$run/v6"
act_start
act_spread
act_downloads
act_neighbours
act_kill
act_drain
act_end
read -r asked failed answering < <(totals)
act_health
[[ -z ${KEEP:-} ]] || keep
title "after $SECONDS s"
echo "demo: $asked requests over $answering backends, $failed failed, $intact downloads intact of ${#downloads[@]}"
((failed == 0 && answering == backends && intact == ${#downloads[@]} && asked > 0))
