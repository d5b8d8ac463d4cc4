#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sharing an interface through libxdp's dispatcher. Where the kernel refuses it (no BPF trampolines), lbd must say so
# and attach exclusively, and the rest is skipped: scripts/vm.sh run tests/e2e/test_lbd_dispatcher.sh runs it on a kernel
# that does not; LBD_WAIT=90 gives emulated ones the time they need.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 2
lbd_init
lbd_config '.interfaces[0].attach = "dispatcher" | .services |= map(.backends |= .[:2])' >"$LBD_CONFIG"

act "it starts" lbd_start
check "it is attached" answers GET /v1/status '.interfaces[0] | .attached and .mode == "native"'
check "packets flow" wait_for 5 fetch
if ! answers GET /v1/status '.interfaces[0].attach == "dispatcher"' >/dev/null; then
	check "it says why it does not share" answers GET /v1/status \
		'.interfaces[0].attach_note | test("^dispatcher refused by the kernel \\(.*\\): attached exclusively$")'
	lbd_stop TERM || not_ok "it stops in order"
	act "it starts again" lbd_start
	check "the exclusive attachment is adopted, and that is told" answers GET /v1/status \
		'.interfaces[0] | .attached and (.attach_note | length > 0)'
	lbd_stop TERM || not_ok "it stops in order"
	check "--detach takes it away" lbd_once --detach
	check "no program is left" test -z "$(in_ns lb ip -d link show eth0 | grep -o 'prog/xdp')"
	skip "sharing through the dispatcher" "this kernel refuses the dispatcher"
	done_testing
fi

status_program()
{
	api GET /v1/status | jq '.interfaces[0].program_id'
}

check "no note is needed" answers GET /v1/status '.interfaces[0].attach_note == null'
check "explain runs our program" answers POST /v1/explain '.agrees and .verdict == "XDP_TX"' \
	'{"protocol":"tcp","source":"198.51.100.7:40000","destination":"'"$LAB_VIP4"':80","syn":true}'
program=$(status_program)
load_start
lbd_stop TERM || not_ok "it stops in order"
check "packets flow without an agent" fetch
act "it starts again" lbd_start
is "the program is the same" "$(status_program)" "$program"
check "it is adopted in the dispatcher" answers GET /v1/status '.interfaces[0].attach == "dispatcher"'
load_stop
is "no request failed" "$load_failed" 0
lbd_stop TERM || not_ok "it stops in order"
check "--detach takes it out of the dispatcher" lbd_once --detach
check "no program is left" test -z "$(in_ns lb ip -d link show eth0 | grep -o 'prog/xdp')"

done_testing
