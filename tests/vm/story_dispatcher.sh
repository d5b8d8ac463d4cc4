#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared interfaces: libxdp's dispatcher with a second program (second.bpf.c) on the balancer's interface, before ours
# and after it, coming and going while requests flow; adoption, upgrade and detach beside it. The lab's two arms
# (scripts/lab.sh).

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm two --backends 2
lbd_init
shared='.interfaces[0].attach = "dispatcher" | .services[].backends |= .[:2]'
lbd_config "$shared" >"$LBD_CONFIG"
counter=$LAB_DIR/bpf/second_seen

second()
{
	in_ns lb "$VM_TOOLS/second" "$@"
}

# What runs on an interface, in order.
order()
{
	second list "${1:-eth0}" | awk '{ print $1 == "alone" ? "alone " $2 : $1 }' | xargs
}

program()
{
	second list eth0 | awk -v name="$1" '$1 == name { print $2 }'
}

seen()
{
	second count "$counter"
}

# The second program sees at least so many packets of so many requests; or, with "few", hardly any.
sees()
{
	local before after
	before=$(seen)
	ask "$LAB_VIP4" 20 >/dev/null || return 1
	after=$(seen)
	echo "saw $((after - before)) packets of 20 requests"
	if [[ $1 == few ]]; then
		((after - before < 20))
	else
		((after - before >= 20 * 4))
	fi
}

sees_pings()
{
	local before
	before=$(seen)
	in_ns router ping -c 3 -i 0.2 -W 20 10.76.0.2 && (($(seen) >= before + 3))
}

in_lb_detach()
{
	timeout $PATIENCE nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" --detach
}

shared_natively()
{
	answers GET /v1/status '.interfaces[0] | .attach == "dispatcher" and .mode == "native" and .attached'
}

# --- where this libxdp and this kernel do not go together ------------------------------------------------------

# Linux 6.13, and 6.12 as it is now, take a program that changes packets only in place of a function that may: those of
# libxdp's dispatcher do from 2025 on. Not on lbd's word: a program of our own is refused. lbd has a dispatcher that is
# fit, and uses it by itself. If it is told to use libxdp's all the same, it is to attach exclusively and say why.
if ! second probe eth0 2>"$TEST_TMP/why"; then
	diag <"$TEST_TMP/why"
	libxdp_objects=$(dirname "$(find /usr/lib -path '*/bpf/xdp-dispatcher.o' -print -quit)")
	export LIBXDP_OBJECT_PATH=$libxdp_objects
	act "lbd starts where the dispatcher is refused" vm_lbd_start
	check "status says exclusive, and that the dispatcher was refused" answers GET /v1/status \
		'.interfaces[0] | .attach == "exclusive" and .mode == "native" and (.attach_note | test("dispatcher refused"))'
	is "our program runs alone" "$(order)" "alone lb_ingress"
	check "packets flow" reaches "$LAB_VIP4" 2 16
	alone=$(second list eth0)
	vm_lbd_stop TERM
	act "lbd starts again" vm_lbd_start
	is "it adopted its program" "$(second list eth0)" "$alone"
	refuse "a second program finds the interface taken" busy second attach eth0 10 "$counter"
	vm_lbd_stop TERM
	in_lb_detach
	unset LIBXDP_OBJECT_PATH
	own_dispatcher=yes
fi

# What others on the host have to do there. lbd has not been told.
second()
{
	in_ns lb env ${own_dispatcher:+LIBXDP_OBJECT_PATH="$LAB_BUILD/libxdp"} "$VM_TOOLS/second" "$@"
}
check "the kernel takes a program that changes packets into the dispatcher" second probe eth0
is "the probe left nothing" "$(order)" ""

# For a shared interface it runs a copy of our program: the one in the dispatcher cannot be run. explains INTERFACE
# VERDICT; the backends are behind eth1.
explains()
{
	answers POST /v1/explain \
		'.agrees and .interface == "'"$1"'" and .verdict == "'"$2"'" and (.backend | test("^b[12]$"))' \
		'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':80","syn":true}'
}

# --- alone in the dispatcher -----------------------------------------------------------------------------------

act "lbd starts" vm_lbd_start
check "status says dispatcher, native" shared_natively
check "without a note" answers GET /v1/status '.interfaces[0].attach_note == null'
check "it tells where it found its own dispatcher" test "${own_dispatcher:-no}" = \
	"$(grep -q 'event=dispatcher object=.*/libxdp/xdp-dispatcher.o' "$lbd_log" && echo yes || echo no)"
is "our program runs in a dispatcher" "$(order)" "lb_ingress"
check "IPv4 reaches every backend" reaches "$LAB_VIP4" 2 16
check "IPv6 reaches every backend" reaches "[$LAB_VIP6]" 2 16
check "explain runs our program" explains eth0 XDP_REDIRECT
is "and leaves the dispatcher as it is" "$(order)" "lb_ingress"

# --- a second program comes and goes ---------------------------------------------------------------------------

ours=$(program lb_ingress)
vm_load_start
check "a second program is attached, before ours" second attach eth0 10 "$counter"
is "both are there" "$(order)" "second lb_ingress"
is "ours is the one it was" "$(program lb_ingress)" "$ours"
check "the second sees the packets of the service" sees all
check "ours still balances" reaches "$LAB_VIP4" 2 16
check "the second goes" second detach eth0
is "ours is there alone" "$(order)" "lb_ingress"
is "and is the one it was" "$(program lb_ingress)" "$ours"
check "requests flow" vm_load_goes_on
rm -f "$counter"
check "it comes back, after ours" second attach eth0 90 "$counter"
is "ours comes first now" "$(order)" "lb_ingress second"
vm_load_stop
is "no request failed through all of this" "$load_failed" 0
check "the load was real" test "$load_answered" -gt 30
check "the second sees nothing of what ours forwards" sees few
check "it sees what ours passes" sees_pings

# --- a capture ------------------------------------------------------------------------------------------------

# Starts one, and waits until the interface runs it: the capture is written to $1.
capture_start()
{
	spawn lb "$LBCTL" --socket "$LBD_SOCKET" --timeout "$PATIENCE" capture -w "$@"
	capture_pid=$spawned
	wait_for "$PATIENCE" runs "lb_capture second" || {
		cat "$spawned_output"
		return 1
	}
}

runs()
{
	[[ $(order) == "$1" ]]
}

captured()
{
	[[ -s $1 ]] && tcpdump -nr "$1" 2>/dev/null | grep -q "$2"
}

theirs=$(program second)
vm_load_start
act "a capture runs in the place of our program, beside the other's" capture_start "$TEST_TMP/one.pcapng"
is "the other one is the one it was" "$(program second)" "$theirs"
check "requests flow through it" vm_load_goes_on
spawn lb "$LBCTL" --socket "$LBD_SOCKET" --timeout $PATIENCE capture -w "$TEST_TMP/two.pcapng" -c 10
check "a second capture has its packets" wait_for $PATIENCE process_gone "$spawned"
is "the first one goes on" "$(order)" "lb_capture second"
kill -INT "$capture_pid"
check "the first one ends" wait_for $PATIENCE process_gone "$capture_pid"
check "our program is back in its place" wait_for $PATIENCE runs "lb_ingress second"
is "the other one is unharmed" "$(program second)" "$theirs"
check "requests flow" vm_load_goes_on
check "what came in was recorded" captured "$TEST_TMP/one.pcapng" "> $LAB_VIP4.80"
check "what left was recorded as well" captured "$TEST_TMP/one.pcapng" "> 10.77.0.1[12]"
check "with what was decided" grep -aq "verdict=XDP_REDIRECT reason=- service=web backend=b[12]" "$TEST_TMP/one.pcapng"
check "also by the second" captured "$TEST_TMP/two.pcapng" "> $LAB_VIP4.80"

act "another capture starts" capture_start "$TEST_TMP/three.pcapng"
vm_lbd_stop KILL
check "requests flow after kill -9 in a capture" vm_load_goes_on
is "it is left in its place" "$(order)" "lb_capture second"
act "lbd starts after kill -9" vm_lbd_start
is "it put its ordinary program back" "$(order)" "lb_ingress second"
is "the other one is the one it was" "$(program second)" "$theirs"
check "requests flow" vm_load_goes_on
vm_load_stop
is "no request failed through all of this" "$load_failed" 0
check "received is what was sent, passed and dropped" conserved
ours=$(program lb_ingress)

# --- adoption and upgrade beside it ----------------------------------------------------------------------------

theirs=$(program second)
vm_load_start
vm_lbd_stop TERM
check "requests flow without lbd" vm_load_goes_on
act "lbd starts again" vm_lbd_start
is "it adopted its program" "$(program lb_ingress)" "$ours"
is "the other one is unharmed" "$(order) $(program second)" "lb_ingress second $theirs"
vm_lbd_stop KILL
check "requests flow after kill -9" vm_load_goes_on
check "the second goes while lbd is down" second detach eth0
rm -f "$counter"
check "and comes back" second attach eth0 90 "$counter"
theirs=$(program second)
act "lbd starts after kill -9" vm_lbd_start
is "it adopted its program again" "$(program lb_ingress)" "$ours"
check "status says dispatcher, native" shared_natively
check "requests flow" vm_load_goes_on

vm_lbd_stop TERM
lbd_config "$shared"' | .interfaces += [.interfaces[0] | .name = "eth1"]' >"$LBD_CONFIG"
act "lbd starts with a program that differs" vm_lbd_start
check "its program was replaced" test "$(program lb_ingress)" != "$ours"
is "each interface has it once, beside the other's" "$(order eth0) / $(order eth1)" "lb_ingress second / lb_ingress"
is "the other one is the one it was" "$(program second)" "$theirs"
check "requests flow through it" vm_load_goes_on
check "IPv6 reaches every backend" reaches "[$LAB_VIP6]" 2 16
lbd_config "$shared" >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a reload takes the second interface away" wait_for $PATIENCE answers GET /v1/status '.interfaces | length == 1'
is "our program is gone from it" "$(order eth1)" ""
check "requests flow" vm_load_goes_on
vm_load_stop
is "no request failed through all of this" "$load_failed" 0
check "received is what was sent, passed and dropped" conserved

# --- beside an interface of our own ----------------------------------------------------------------------------

captures_all()
{
	spawn lb "$LBCTL" --socket "$LBD_SOCKET" --timeout "$PATIENCE" capture -w "$1" -c 10
	wait_for "$PATIENCE" process_gone "$spawned" || return 1
	cat "$spawned_output"
	captured "$1" "> $LAB_VIP4.80"
}

# Exclusive first in the configuration, and first to be attached.
lbd_config "$shared"' | .interfaces |= [(.[0] | .name = "eth1" | .attach = "exclusive")] + .' >"$LBD_CONFIG"
vm_load_start
vm_lbd_stop TERM
act "lbd starts with eth0 shared, eth1 exclusive" vm_lbd_start
check "status says so" answers GET /v1/status \
	'[.interfaces[] | {(.name): .attach}] | add == {eth0: "dispatcher", eth1: "exclusive"}'
is "each has our program" "$(order eth0) / $(order eth1 | sed 's/ [0-9]*$//')" "lb_ingress second / alone lb_ingress"
check "packets flow" reaches "$LAB_VIP4" 2 16
check "explain runs the program of the first" explains eth1 XDP_TX
check "so does a capture" captures_all "$TEST_TMP/mixed.pcapng"
check "each has our program again" wait_for $PATIENCE runs "lb_ingress second"
is "also alone" "$(order eth1 | sed 's/ [0-9]*$//')" "alone lb_ingress"
lbd_config "$shared" >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a reload takes the second interface away" wait_for $PATIENCE answers GET /v1/status '.interfaces | length == 1'
check "explain runs our program" explains eth0 XDP_REDIRECT
vm_load_stop
is "no request failed through all of this" "$load_failed" 0

# --- detach, and starting beside others ------------------------------------------------------------------------

vm_lbd_stop TERM
check "--detach ends well" in_lb_detach
is "the other one is left" "$(order) $(program second)" "second $theirs"
check "and sees what comes" sees_pings
act "lbd starts where another was first" vm_lbd_start
is "both are there" "$(order)" "lb_ingress second"
check "packets flow" reaches "$LAB_VIP4" 2 16
vm_lbd_stop TERM
in_lb_detach >/dev/null 2>&1
second detach eth0
is "nothing is left" "$(order)" ""

# --- an interface that someone has for himself -----------------------------------------------------------------

in_ns lb ip link set dev eth0 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags
spawn lb "$LBD" "${LBD_ARGUMENTS[@]}"
lbd_pid=$spawned lbd_log=$spawned_output
check "lbd says that the interface is taken" wait_for $PATIENCE grep -q \
	'eth0 through the dispatcher: Device or resource busy' "$lbd_log"
is "and leaves it alone" "$(order)" "alone lb_pass"
kill "$lbd_pid" 2>/dev/null
wait_for $PATIENCE process_gone "$lbd_pid"

done_testing
