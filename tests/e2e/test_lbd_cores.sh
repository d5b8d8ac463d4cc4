#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is told of each core, in the lab's two arms (scripts/lab.sh): polls and what they bring, polls that go on being counted
# without an agent, and the warning with its cause while one core, of several, gets all packets. Interfaces here are
# veths: they have one queue, and no interrupts; how those are judged is tests/unit/test_cores.c's.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
LBCTL=${LBCTL:-$LAB_BUILD/lbctl}
export LBCTL_SOCKET=$LBD_SOCKET
lbd_config '.api.metrics = "127.0.0.1:9650" | .services += [.services[0] | .name = "udp" | .protocol = "udp" | .port = 9]' >"$LBD_CONFIG"
act "it starts" lbd_start
check "next hops are resolved" wait_for 5 lbd_resolved

# send SECONDS: datagrams to the VIP from one core, as many as go.
send()
{
	in_ns client taskset -c 0 /usr/bin/python3 - "$LAB_VIP4" "$1" <<-'PY'
	import socket, sys, time
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.connect((sys.argv[1], 9))
	end, n = time.monotonic() + float(sys.argv[2]), 0
	while time.monotonic() < end:
	    for _ in range(500):
	        try:
	            s.send(b"x" * 18)
	            n += 1
	        except OSError:
	            pass
	print(n)
	PY
}

cpus()
{
	api GET /v1/stats | jq "[.cpus[]] | $1"
}

# --- polls -------------------------------------------------------------------------------------------------------

before=$(cpus 'map(.polled_packets) | add')
rx=$(cpus 'map(.rx) | add')
sent=$(send 1)
check "packets were sent" test "$sent" -gt 1000
came()
{
	polled=$(($(cpus 'map(.polled_packets) | add') - before)) received=$(($(cpus 'map(.rx) | add') - rx))
	((polled > 0 && polled >= received && polled <= received + 20))
}
# What is not for a service of ours (ARP) is counted as passed; a packet may come between the two questions.
check "polls bring what the packet path counts" wait_for 3 came
check "the classes are all polls" test "$(cpus 'all((.polls_by_packets | add) == .polls)')" = true
check "and they brought as much as their classes say" test \
	"$(cpus 'all(.polls_by_packets as $c | $c["1"] + 2 * $c["2-3"] + 4 * $c["4-7"] + 8 * $c["8-15"] + 16 * $c["16-31"] + 32 * $c["32-63"] + 64 * $c["64+"] <= .polled_packets)')" = true
check "the kernel's own figures are there" test "$(cpus 'all(.squeezed >= 0 and .backlog_dropped >= 0 and .lost == 0)')" = true
metrics()
{
	in_ns lb curl -gsf --max-time 10 http://127.0.0.1:9650/metrics
}
polled_metric()
{
	metrics | awk '/^weir_cpu_polled_packets_total/ { n += $2 } END { print n + 0 }'
}
check "metrics have them by CPU and class" test "$(metrics | grep -c '^weir_cpu_polls_total{cpu="0",packets="[^"]*"} ')" = 8
now=$(cpus 'map(.polled_packets) | add')
check "and what they brought" test "$(polled_metric)" -ge "$now"

# --- without an agent ----------------------------------------------------------------------------------------------

before=$(cpus 'map(.polled_packets) | add')
lbd_stop KILL
sent=$(send 0.2)
act "it starts again" lbd_start
check "polls without an agent were counted" test "$(($(cpus 'map(.polled_packets) | add') - before))" -ge "$((sent / 2))"
rm "$LBD_BPFFS/lb_redirect_poll" "$LBD_BPFFS/lb_polls"
repaired()
{
	[[ -e $LBD_BPFFS/lb_redirect_poll && -e $LBD_BPFFS/lb_polls ]]
}
check "pins that somebody took away are there again" wait_for 8 repaired

# --- what it costs -------------------------------------------------------------------------------------------------

program=$(api GET /v1/status | jq '.interfaces[0].program_id')
runs()
{
	bpftool -j prog show id "$program" | jq '.run_cnt // 0'
}
# profile FILTER: true of what lbctl profile saw while packets came.
profile()
{
	local sender result
	send 1.5 >/dev/null &
	sender=$!
	"$LBCTL" -j profile --seconds 1 >"$TEST_TMP/profile.json"
	result=$?
	wait "$sender"
	((result == 0)) && jq -e --argjson id "$program" "$1" "$TEST_TMP/profile.json"
}
check "a profile tells runs and time of the packet path" profile \
	'.programs[] | select(.id == $id) | .name == "lb_ingress" and .runs > 500 and .ns / .runs > 5 and .ns / .runs < 100000'
check "and of the program that counts polls" jq -e '.programs | any(.name == "lb_redirect_pol" and .runs > 0 and .ns > 0)' \
	"$TEST_TMP/profile.json"
diag < <(jq -r '.programs[] | select(.runs > 0) | "\(.name): \(.runs) runs, \(.ns / .runs | floor) ns each"' "$TEST_TMP/profile.json")
check "time of every core is shared out" jq -e '.cpus | length >= 1 and all((.share | add) > 0.99 and (.share | add) < 1.01)' \
	"$TEST_TMP/profile.json"
check "each counter is there, or is missing for a reason" jq -e \
	'. as $all | ["cycles", "instructions", "l1d_misses", "llc_misses", "tlb_misses", "remote_reads"] | all(. as $name
		| ($all.cpus | all(has($name))) != ($all.missing | any(.what == $name and (.why | length) > 5)))' "$TEST_TMP/profile.json"
check "who may not look is told so, and sees the rest" jq -e \
	'(.programs | length) == 0 and (.cpus | length) > 0 and (.missing | any(.what == "programs" and (.why | test("root"))))' \
	<(setpriv --reuid 65534 --clear-groups -- "$LBCTL" -j profile --seconds 0.1)
refuse "a time that is too long is refused" "601 is more than 600" "$LBCTL" profile --seconds 601
idle()
{
	local before
	before=$(runs)
	send 0.2 >/dev/null
	[[ $(runs) == "$before" ]]
}
check "afterwards nothing is counted" idle
"$LBCTL" profile --seconds 60 >/dev/null &
profiler=$!
busy()
{
	! idle
}
check "while it runs it is" wait_for 5 busy
kill -KILL "$profiler"
wait "$profiler"
check "and no longer when it is killed" idle

# --- the warning ---------------------------------------------------------------------------------------------------

check "nobody warns of quiet cores" answers GET /v1/status '.warnings | any(test("times the mean")) | not'
if (($(nproc) < 2)); then
	skip "one core, of several, gets all packets" "there is one core"
else
	send 45 >"$TEST_TMP/sent" &
	sender=$!
	warned()
	{
		answers GET /v1/status '.warnings | any(test("^CPU 0 takes [0-9.]+ times the mean of [0-9]+ CPUs, .*fewer receive queues than cores"))'
	}
	check "while one core gets all packets the status says so, and why" wait_for 35 warned
	check "lbctl status prints it" grep -q "fewer receive queues than cores" <("$LBCTL" status)
	check "the metric has the ratio" grep -qE '^weir_cpu_imbalance_ratio (1\.[89]|[2-9])' <(metrics)
	pkill -P "$sender"
	wait "$sender"
	quiet()
	{
		answers GET /v1/status '.warnings | any(test("times the mean")) | not'
	}
	check "and no longer when they end" wait_for 25 quiet
fi

done_testing
