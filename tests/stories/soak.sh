#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make soak MINUTES=n SEED=s: everything at once, for so long. Under real connections, which must not break: weights, drains and
# returns, deaths of the agent at every step, restarts, floods of SYNs, links of backends that lose their carrier for a
# moment, damage in the state directory while the agent is dead. After each act what was acknowledged last must be what
# runs. Ends with
#
#   soak: A acts in M minutes, B broken of T, D disagreements, memory X KiB and S KiB a minute more, kernel: clean
#
# Status 0: nothing broken, no disagreement, no new warning in the kernel's log.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

MINUTES=${MINUTES:-10}
RANDOM=${SEED:-1}
STALL_MS=15000
# Clients of a flood's time may have to send a SYN again.
story_broken='[.long, .udp] | map(.broken) | add'
story_opened='[.long, .udp] | map(.opened) | add'
steps=(store_written recorded begin ring bank visible committed)
acts=0 disagreements=0 memory=$TEST_TMP/memory
# A flood and a carrier that is lost: packets that nobody can forward.
story_may_drop=nexthop

declare -A wanted # state and weight of each backend, as acknowledged

# ask BACKEND STATE WEIGHT
ask()
{
	local service
	for service in $TRAFFIC_TALK; do
		"$LBCTL" -j backend set "$service" "$1" --state "$2" --weight "$3" >/dev/null 2>&1 || return 1
	done
	wanted[$1]="$2 $3"
}

# What runs is what was acknowledged.
agrees()
{
	local backend service
	for backend in "${!wanted[@]}"; do
		for service in $TRAFFIC_TALK; do
			answers GET "/v1/services/$service" ".backends[] | select(.name == \"$backend\") |
				\"\\(.state) \\(.weight)\" == \"${wanted[$backend]}\"" >/dev/null || return 1
		done
	done
}

comes_back()
{
	lbd_start >/dev/null || not_ok "it comes back after: $act"
}

change()
{
	local backend=b$((1 + RANDOM % 4)) state=active
	# Somebody is left.
	[[ $backend != b1 && $((RANDOM % 2)) == 0 ]] && state=drain
	ask "$backend" $state $((20 + RANDOM % 180)) || not_ok "a change is taken"
}

death()
{
	local step=${steps[$((RANDOM % ${#steps[@]}))]} backend=b$((2 + RANDOM % 3))
	lbd_stop TERM || not_ok "it stops"
	LBD_CRASH_AT_STEP=$step lbd_start >/dev/null
	# Perhaps acknowledged in some services, perhaps not: said again when it is back.
	ask $backend active 77
	wait_for 3 process_gone "$lbd_pid" || lbd_stop KILL
	comes_back
	ask $backend active 78 || not_ok "the change can be made after $step"
}

killed()
{
	lbd_stop KILL
	comes_back
}

# One copy of what runs is spoilt; the others are whole.
damaged()
{
	local newest
	lbd_stop KILL
	newest=$(find "$LBD_STATE/generations" -name '0*.json' | sort | tail -n 1)
	case $((RANDOM % 3)) in
	0) truncate -s 10 "$newest" ;;
	1) rm -f "$newest" ;;
	2) echo "not ours" >"$LBD_STATE/generations/0~" ;;
	esac
	comes_back
}

flooded()
{
	spawn router nice "$LAB_BUILD/tests/stories/flood" front "$mac" "$LAB_VIP4" $TRAFFIC_PORT 3
	wait_for 60 process_gone "$spawned"
}

flapped()
{
	local port=b$((1 + RANDOM % 4))
	in_ns sw ip link set $port down
	in_ns sw ip link set $port up
}

act_once()
{
	acts=$((acts + 1))
	case $((RANDOM % 12)) in
	0) act=death && death ;;
	1) act=killed && killed ;;
	2) act=damaged && damaged ;;
	3) act=flooded && flooded ;;
	4) act=flapped && flapped ;;
	*) act=change && change ;;
	esac 2>/dev/null
	wait_for 10 agrees || {
		disagreements=$((disagreements + 1))
		diag "after act $acts, $act: what runs is not what was acknowledged"
	}
	echo "$SECONDS $(awk '/^VmRSS/ { print $2 }' "/proc/$lbd_pid/status")" >>"$memory"
}

mark=$("$TEST_ROOT/scripts/kernel-log.sh" mark)
story_begin
in_ns sw ip -force link set dev lb xdpdrv object "$LAB_BUILD/bpf/flood_sink.bpf.o" section xdp.frags ||
	not_ok "the sink is attached"
mac=$(in_ns lb ip -j link show eth0 | jq -r '.[0].address')
story_crowd
story_client udp "$LAB_VIP4" --udp "$(longs 100)"
story_goes_on
begin=$SECONDS
while ((SECONDS - begin < MINUTES * 60)); do
	act_once
	story_goes_on 50
done
for b in b1 b2 b3 b4; do ask $b active 100; done
check "nothing is broken" unbroken
broken=0 opened=0
for name in "${story_clients[@]}"; do
	client_stop "$name" >/dev/null
	broken=$((broken + $(client "$name" "$story_broken")))
	opened=$((opened + $(client "$name" "$story_opened")))
done
check "when the connections are gone, all slots settle and no state is left" wait_settled
check "nothing was dropped that could be forwarded" no_drops
conserved
is "what runs was always what was acknowledged" $disagreements 0
kernel=clean
said=$("$TEST_ROOT/scripts/kernel-log.sh" check "$mark") || kernel="said something"
[[ $kernel == clean ]] || diag <<<"$said"
# The slope of the least squares.
slope=$(awk '{ n++; x = $1 / 60; sx += x; sy += $2; sxx += x * x; sxy += x * $2; last = $2 }
	END { d = n * sxx - sx * sx; printf "%d KiB and %+.0f KiB a minute more", last, (d > 0 ? (n * sxy - sx * sy) / d : 0) }' "$memory")
test_done=yes
echo "1..$test_count"
echo "soak: $acts acts in $MINUTES minutes, $broken broken of $opened, $disagreements disagreements, memory $slope, kernel: $kernel"
[[ $test_failed == 0 && $broken == 0 && $disagreements == 0 && $kernel == clean ]]
exit
