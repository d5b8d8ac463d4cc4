#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The agent's loop never waits: while a program is loaded, a disk does not answer, neighbours are awaited, or nobody reads
# its log, it answers. And what is not on disk is neither made nor acknowledged, and changes come one after the other.
# timeout: 300

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
metrics='.api.metrics = "127.0.0.1:9909"'

at()
{
	curl -s --max-time 10 --unix-socket "$LBD_SOCKET" "http://weir$1"
}

turns()
{
	[[ $(at /healthz) == ok ]] && answers GET /v1/version .version
}

not()
{
	! "$@"
}

logged()
{
	grep -q "$1" "$lbd_log"
}

# --- a start ------------------------------------------------------------------------------------------------------

lbd_config "$metrics"' | .limits = {} | .services[0] as $s | .services = [range(3000) | . as $i | $s | .name = "s\($i)" |
	.vip = "203.\(100 + ($i / 250 | floor)).\($i % 250).1"]' >"$LBD_CONFIG"
spawn lb "$LBD" "${LBD_ARGUMENTS[@]}" --monitor-socket "$TEST_TMP/monitor.sock"
lbd_pid=$spawned lbd_log=$spawned_output
check "the API opens" wait_for 10 turns
ready=$(at /readyz)
status=$(curl -s --max-time 10 --unix-socket "$LBD_SOCKET" -o /dev/null -w '%{http_code}' http://weir/readyz)
api GET /v1/status >"$TEST_TMP/status" &
asking=$!
scrapes=()
for path in metrics metrics/services v1/services; do
	curl -s --max-time 20 -o /dev/null -w '%{http_code}\n' --unix-socket "$TEST_TMP/monitor.sock" "http://weir/$path" >>"$TEST_TMP/scraped" &
	scrapes+=($!)
done
check "and is alive" turns
check "before the first commit" not logged event=ready
check "it says that it is not ready, and why" test "$status" == 503 -a "${ready#starting: }" != "$ready"
wait "$asking"
is "what cannot be answered before is answered then" "$(jq -r '"\(.pid) \(.services)"' "$TEST_TMP/status")" "$lbd_pid 3000"
check "it was ready by then" logged event=ready
wait "${scrapes[@]}"
is "so are scrapes of those who may only look" "$(xargs <"$TEST_TMP/scraped")" "200 200 200"
is "readiness says so" "$(at /readyz)" ok
is "over TCP as well" "$(in_ns lb curl -s http://127.0.0.1:9909/readyz)" ok
act "it stops" lbd_stop TERM

spawn lb "$LBD" "${LBD_ARGUMENTS[@]}"
lbd_pid=$spawned lbd_log=$spawned_output
wait_for 10 turns
act "one that is told to stop while it starts ends in good order" lbd_stop TERM

lbd_config '.services[0].backends[0].weight = -1' >"$LBD_CONFIG"
rm -r "$LBD_STATE"
lbd_once --detach >/dev/null 2>&1
lbd_once >"$TEST_TMP/failed" 2>&1
is "a start that fails after the API has opened ends with status 1" $? 1
check "and says why" grep -q weight "$TEST_TMP/failed"

# --- a disk that does not answer ------------------------------------------------------------------------------------

hold=$TEST_TMP/hold
lbd_config "$metrics" >"$LBD_CONFIG"
"${CC:-gcc}" -shared -fPIC -O2 -D_GNU_SOURCE -o "$TEST_TMP/slow_disk.so" "$TEST_ROOT/tests/e2e/slow_disk.c" -ldl
export LD_PRELOAD=$TEST_TMP/slow_disk.so SLOW_DISK=$hold SLOW_NAMES=$TEST_TMP/names
act "it starts with that disk" lbd_start
unset LD_PRELOAD SLOW_DISK SLOW_NAMES
generation()
{
	api GET /v1/status | jq .generation
}
# patch FILE WEIGHT [CURL ARGUMENT...]: in the background; answer and status to the file. $patching: its pid.
patch()
{
	curl -s --max-time 30 -w '\n%{http_code}\n' --unix-socket "$LBD_SOCKET" -X PATCH --data-binary "{\"weight\":$2}" "${@:3}" \
		"http://weir/v1/services/web/backends/b1" >"$TEST_TMP/$1" &
	patching=$!
}
# More who want something changed than there is room for, while the disk is held: whoever asks little is answered all the
# same, though the oldest of them give way.
crowd()
{
	python3 - "$LBD_SOCKET" <<-'PYTHON'
	import socket, sys
	def connect():
	    s = socket.socket(socket.AF_UNIX)
	    s.settimeout(10)
	    s.connect(sys.argv[1])
	    return s
	body = b'{"weight":99}'
	change = b"PATCH /v1/services/web/backends/b2 HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
	crowd = []
	for i in range(200):
	    crowd.append(connect())
	    crowd[-1].sendall(change)
	    if i % 10 == 9:
	        s = connect()
	        s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
	        if not s.recv(64).startswith(b"HTTP/1.1 200"):
	            sys.exit("not answered beside %d" % i)
	PYTHON
}
touch "$hold"
patch zeroth 90
wait_for 10 test -e "$hold.waits"
check "beside a crowd whose changes wait, small requests are answered" crowd
rm "$hold"
wait "$patching"
api PATCH /v1/services/web/backends/b2 '{"weight":100}' >/dev/null # its turn is the last
rm -f "$hold.waits"

before=$(generation)
touch "$hold"
patch first 50 -H "If-Match: $before"
first=$patching
check "a change waits for the disk" wait_for 10 test -e "$hold.waits"
check "the loop does not" turns
is "packets do not see what is not on disk" "$(generation)" "$before"
check "and nobody is told that it was made" test ! -s "$TEST_TMP/first" -a -d "/proc/$first"
patch second 70 -H "If-Match: $before"
second=$patching
check "others that change something wait for it" turns
check "so long as that takes" test ! -s "$TEST_TMP/second" -a -d "/proc/$second"
rm "$hold"
wait "$first" "$second"
is "when the disk answers the first one is made" "$(tail -n 1 "$TEST_TMP/first")" 200
is "and what the second one has looked at is no longer so" "$(tail -n 1 "$TEST_TMP/second")" 412
check "nothing of it was made" answers GET /v1/services/web '.backends[] | select(.name == "b1") | .weight == 50'

touch "$TEST_TMP/names"
patch named 55
check "a change waits for a name of the disk" wait_for 10 test -e "$TEST_TMP/names.waits"
check "the loop does not, whatever it is asked" turns
check "lists are told" answers GET /v1/services/web '.backends | length == 3'
rm "$TEST_TMP/names"
wait "$patching"
is "and it is made" "$(tail -n 1 "$TEST_TMP/named")" 200

rm -f "$hold.waits"
touch "$hold"
patch third 60
third=$patching
wait_for 10 test -e "$hold.waits"
patch fourth 80
fourth=$patching
turns
kill -TERM "$lbd_pid"
wait_for 10 logged event=signal
check "one that is told to stop ends no change halfway" test -d "/proc/$lbd_pid"
rm "$hold"
wait_for 10 process_gone "$lbd_pid"
wait "$lbd_pid"
is "and ends in good order" $? 0
wait "$third" "$fourth"
is "the change was made" "$(tail -n 1 "$TEST_TMP/third")" 200
is "the one behind it was not" "$(tail -n 1 "$TEST_TMP/fourth")" 503
act "it starts again" lbd_start
check "with what was acknowledged" answers GET /v1/services/web '.backends[] | select(.name == "b1") | .weight == 60'

# --- neighbours, programs ---------------------------------------------------------------------------------------------

# during SAYS COMMAND...: the loop turns while the command, in the background, is not yet done.
during()
{
	local says=$1 running
	shift
	"$@" >"$TEST_TMP/during" &
	running=$!
	check "the loop turns while $says" turns
	check "which was not over yet" test -d "/proc/$running"
	wait "$running"
}

lbd_config '.services[0].backends += [{ "name": "nobody", "address": "10.77.0.99" }]' >"$TEST_TMP/nobody.json"
during "a new backend's neighbour is awaited" api POST /v1/apply @"$TEST_TMP/nobody.json"
check "the change was made" jq -e .applied "$TEST_TMP/during"
during "the explaining program is loaded" api POST /v1/explain \
	"{\"protocol\":\"tcp\",\"source\":\"198.51.100.7:40000\",\"destination\":\"$LAB_VIP4:80\",\"syn\":true}"
check "the packet is explained" jq -e '.service == "web"' "$TEST_TMP/during"
during "the capturing program is loaded" api GET "/v1/capture?seconds=1"
check "there was a capture" test -s "$TEST_TMP/during"

# --- a plan writes nothing ------------------------------------------------------------------------------------------

ports()
{
	bpftool -j map dump pinned "$(echo "$LBD_BPFFS"/*lb_ports)" | jq -c '[.[].formatted.value | select(. != 0)]'
}
in_ns lb ip link add spare0 type veth peer name spare1
in_ns lb ip address add 10.88.0.1/24 dev spare0
in_ns lb ip link set spare0 up
in_ns lb ip link set spare1 up
in_ns lb ethtool -K spare1 gro on # or it takes no redirected frames
in_ns lb ip neigh add 10.88.0.2 lladdr 02:00:00:00:88:02 dev spare0 nud permanent
lbd_config '.services[0].backends += [{ "name": "spare", "address": "10.88.0.2" }]' >"$TEST_TMP/spare.json"
before=$(ports)
check "a plan by another interface" answers POST /v1/diff '.dry_run and (.applied | not)' @"$TEST_TMP/spare.json"
is "opens no port for it" "$(ports)" "$before"
check "its commit" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/spare.json"
check "does" test "$(ports)" != "$before"
check "and the backend is reached there" answers GET /v1/services/web \
	'.backends[] | select(.name == "spare") | .nexthop.resolved and .nexthop.interface == "spare0"'
act "it stops" lbd_stop TERM

# --- a log that nobody reads ------------------------------------------------------------------------------------------

mkfifo "$TEST_TMP/log"
exec {log_fd}<>"$TEST_TMP/log"
nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" --debug 2>"$TEST_TMP/log" &
lbd_pid=$!
test_pids+=("$lbd_pid")
wait_for 15 answers GET /v1/status .pid
many()
{
	for _ in {1..40}; do
		curl -s --max-time 5 -o /dev/null --unix-socket "$LBD_SOCKET" "http://weir/v1/version?[1-50]" || return 1
	done
}
check "many lines are said and not read" many
check "the loop turns" turns
timeout 2 cat <&"$log_fd" >"$TEST_TMP/read"
turns >/dev/null
timeout 2 cat <&"$log_fd" >>"$TEST_TMP/read"
check "how many are lost is told" grep -qE 'event=log lost=[1-9]' "$TEST_TMP/read"
check "no line is cut" not grep -vqE '^(lbd: |<[0-9]>)' "$TEST_TMP/read"
kill -TERM "$lbd_pid"
wait "$lbd_pid"
is "it ends" $? 0

done_testing
