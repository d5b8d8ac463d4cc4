#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The life of an agent, in the lab's two arms (scripts/lab.sh): it starts, packets flow; it stops, is killed, is
# replaced, and packets flow on; a second one keeps off; --detach leaves nothing.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init
lbd_config >"$LBD_CONFIG"

link_id()
{
	bpftool -j link show pinned "$LBD_BPFFS/link_eth0" | jq .id
}

program_id()
{
	bpftool -j link show pinned "$LBD_BPFFS/link_eth0" | jq .prog_id
}

no_program()
{
	! in_ns lb ip -d link show eth0 | grep -q 'prog/xdp'
}

all_backends_answer()
{
	local i seen
	for i in {1..60}; do fetch "$1"; done | sort -u >"$TEST_TMP/seen"
	seen=$(grep -c . "$TEST_TMP/seen")
	[[ $seen == 3 ]] || {
		echo "answered:" "$(tr '\n' ' ' <"$TEST_TMP/seen")"
		return 1
	}
}

# --- start -----------------------------------------------------------------------------------------------------

act "it starts" lbd_start
check "native XDP is attached exclusively" answers GET /v1/status \
	'.interfaces[0] | .name == "eth0" and .mode == "native" and .attach == "exclusive" and .attached and .up'
check "every next hop is resolved at once" lbd_resolved
check "the first generation is the only one" answers GET /v1/status '.generation == 1'
check "IPv4 reaches every backend" all_backends_answer "$LAB_VIP4"
check "IPv6 reaches every backend" all_backends_answer "[$LAB_VIP6]"
check "nothing was dropped" answers GET /v1/status '.packets.drop == 0 and .packets.redirect > 0'
check "received is what was sent, passed and dropped" answers GET /v1/stats \
	'.totals | .rx == .tx + .redirect + .pass + .drop'
check "the socket has mode 660" test "$(stat -c %a "$LBD_SOCKET")" = 660
check "the balancer itself is reached" in_ns router ping -c 1 -W 2 10.76.0.2
version=$("$LBD" --version | cut -d' ' -f2)
check "its version is in the maps" grep -q "^$(printf %s "$version" | od -An -v -tx1 | tr -d ' \n')00" <(
	bpftool -j map lookup pinned "$LBD_BPFFS/lb_control" key 0 0 0 0 |
		jq -r '[.value[192:][] | ltrimstr("0x")] | join("")')

# --- a second one ----------------------------------------------------------------------------------------------

refuse "a second agent refuses to start and names the first" "another lbd \(pid $lbd_pid\) runs the packet path" \
	lbd_once
refuse "also when it has a state directory and socket of its own" "another lbd \(pid $lbd_pid\)" \
	lbd_once --state-dir "$TEST_TMP/other" --socket "$TEST_TMP/other.sock"
refuse "a second agent for the same state refuses as well" "another lbd \(pid $lbd_pid\) uses the state directory" \
	lbd_once --bpffs "$LAB_DIR/bpf/other"
rmdir "$LAB_DIR/bpf/other" 2>/dev/null
refuse "--detach keeps off a running agent" "another lbd \(pid $lbd_pid\)" lbd_once --detach
check "the first one is unharmed" answers GET /v1/status ".pid == $lbd_pid"

# --- stop, kill, replace under load ----------------------------------------------------------------------------

link=$(link_id) program=$(program_id)
load_start
act "it stops" lbd_stop TERM
check "its socket goes" test ! -e "$LBD_SOCKET"
check "packets flow without an agent" fetch
act "it starts again" lbd_start
check "it kept the generation" answers GET /v1/status '.generation == 1'
check "the link is the same" test "$(link_id)" = "$link"
check "the program is the same" test "$(program_id)" = "$program"
check "the log says adopted" grep -q 'adopted=yes' "$lbd_log"
act "it is killed" lbd_stop KILL
check "packets flow after a kill" fetch
act "it starts after a kill, over the stale socket" lbd_start
check "the link is still the same" test "$(link_id)" = "$link"
check "it answers" answers GET /v1/status '.services == 2 and .backends == 6'

# Another version of the program: constants of another size of maps would do; here another number of interfaces.
lbd_stop TERM || not_ok "it stops in order"
lbd_config '.interfaces += [{ "name": "eth1", "xdp_mode": "native", "attach": "exclusive" }]' >"$LBD_CONFIG"
act "it starts with a program that differs" lbd_start
check "the link was kept and its program replaced" test "$(link_id)" = "$link" -a "$(program_id)" != "$program"
check "both interfaces are attached" answers GET /v1/status '[.interfaces[].attached] == [true, true]'
check "packets flow through it" fetch
lbd_config >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "a reload takes the second interface away" wait_for 5 answers GET /v1/status '.interfaces | length == 1'
check "the program is of one interface again, on the same link" test "$(link_id)" = "$link"
load_stop
check "the load was real" test "$load_requests" -gt 50
is "no request failed through all of this" "$load_failed" 0

# --- an exclusive attachment that is to be shared ---------------------------------------------------------------

lbd_config '.interfaces[0].attach = "dispatcher"' >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "the status says that it stays exclusive, and what to do" wait_for 5 answers GET /v1/status \
	'.interfaces[0] | .attached and .attach == "exclusive" and (.attach_note | test("^stays exclusive.*stop lbd, run lbd --detach, start"))'
check "an event says so" answers GET /v1/events '[.events[] | select(.message | test("stays exclusive"))] | length == 1'
check "the link is still the same" test "$(link_id)" = "$link"
check "packets flow on" fetch
lbd_config >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
check "that is forgotten when it is to be exclusive again" wait_for 5 answers GET /v1/status \
	'.interfaces[0] | .attached and .attach_note == null'

# --- detach ----------------------------------------------------------------------------------------------------

lbd_stop TERM || not_ok "it stops in order"
check "--detach ends well" lbd_once --detach
check "no program is left" no_program
check "no pin is left" test ! -e "$LBD_BPFFS"
check "--detach can be repeated" lbd_once --detach
act "it starts anew" lbd_start
check "generations go on counting" answers GET /v1/status '.generation > 1'
check "packets flow again" fetch
lbd_stop TERM || not_ok "it stops in order"
act "it starts with --detach-on-stop" lbd_start --detach-on-stop
lbd_stop TERM || not_ok "it stops in order"
check "stopping it detached" no_program
check "and unpinned" test ! -e "$LBD_BPFFS/lb_control"

# --- usage -----------------------------------------------------------------------------------------------------

check "--help explains to standard output" grep -q -- '--bpffs' <("$LBD" --help)
"$LBD" --nonsense >/dev/null 2>&1
is "wrong usage ends with 2" $? 2
check "the nearest option is named" grep -q 'did you mean --bpffs' <("$LBD" --bpfs=/x 2>&1)
check "but not one that is right" test -z "$("$LBD" --bpffs 2>&1 | grep 'did you mean')"
"$LBD" word >/dev/null 2>&1
is "a stray word is wrong usage" $? 2

done_testing
