#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Starts that fail, in the lab's two arms: the second interface belongs to somebody else. A first start takes away what
# it made, and nothing else; what was there before stays, and so does what packets use.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
both='.interfaces += [{ "name": "eth1", "xdp_mode": "native", "attach": "exclusive" }]'
lbd_config "$both" >"$LBD_CONFIG"
in_ns lb ip link set dev eth1 xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags

# program_on INTERFACE: the id of its XDP program, if it has one.
program_on()
{
	in_ns lb ip -j -d link show "$1" | jq -r '.[0].xdp.prog.id // empty'
}

foreign=$(program_on eth1)
check "somebody else has the second interface" test -n "$foreign"

# --- a first start -----------------------------------------------------------------------------------------------

refuse "it does not start" "eth1 has an XDP program that is not ours \(id $foreign\)" lbd_once
check "no pin is left, nor the directory" test ! -e "$LBD_BPFFS"
is "the first interface has no program" "$(program_on eth0)" ""
is "the second one has what it had" "$(program_on eth1)" "$foreign"
mkdir "$LBD_BPFFS"
refuse "it does not start again" "not ours" lbd_once
is "no pin is left in a directory that was there" "$(ls "$LBD_BPFFS")" ""
check "the directory is there" rmdir "$LBD_BPFFS"
lbd_config '.services[0].vip = "10.76.0.2"' >"$TEST_TMP/own.json"
refuse "a configuration that cannot be" "own address" lbd_once -c "$TEST_TMP/own.json" --state-dir "$TEST_TMP/own"
check "nothing is left of that" test ! -e "$LBD_BPFFS"
echo nonsense >"$TEST_TMP/own.json"
refuse "a file that is none" "own.json" lbd_once -c "$TEST_TMP/own.json" --state-dir "$TEST_TMP/own"
check "nothing is left of that either" test ! -e "$LBD_BPFFS"

# --- what was adopted stays --------------------------------------------------------------------------------------

lbd_config >"$LBD_CONFIG"
act "it starts with the first interface alone" lbd_start
check "packets flow" wait_for 5 fetch
lbd_stop TERM || not_ok "it stops in order"
ls "$LBD_BPFFS" >"$TEST_TMP/pins"
program=$(program_on eth0)
lbd_config "$both" >"$LBD_CONFIG"
refuse "it does not start with both" "not ours" lbd_once
check "every pin is there" diff "$TEST_TMP/pins" <(ls "$LBD_BPFFS")
check "the first interface has a program" test -n "$(program_on eth0)"
check "packets flow on" fetch

# Without lb_control the maps are made anew, and the link that is there is adopted: it has the new ones then.
rm "$LBD_BPFFS/lb_control"
refuse "it does not start with new maps" "not ours" lbd_once
check "a link that was adopted keeps its pin and the maps" diff "$TEST_TMP/pins" <(ls "$LBD_BPFFS")
check "it has another program" test "$(program_on eth0)" != "$program"
check "packets flow through that" fetch

in_ns lb ip link set dev eth1 xdp off
act "it starts when the second interface is free" lbd_start
check "both interfaces are attached" answers GET /v1/status '[.interfaces[].attached] == [true, true]'
check "packets flow through both" fetch
lbd_stop TERM || not_ok "it stops in order"
check "--detach leaves nothing" lbd_once --detach
check "no pin is left" test ! -e "$LBD_BPFFS"

done_testing
