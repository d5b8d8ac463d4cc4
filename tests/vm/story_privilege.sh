#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The capabilities that lbd(8) says to grant for libxdp's dispatcher, and no others: start, restart after kill -9, and detach
# beside a second program (second.bpf.c) on the balancer's interface. The lab's two arms (scripts/lab.sh).

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# As root, whose capabilities are what the bounding set leaves: that of lbd.service with the drop-in of lbd(8).
GRANTED=bpf,net_admin,perfmon,sys_admin,dac_override
MASK=000000c000201002

few()
{
	printf '#!/bin/sh\nexec setpriv --inh-caps=-all --bounding-set=-all,%s "%s" "$@"\n' \
		"+${GRANTED//,/,+}" "$LBD" >"$TEST_TMP/few"
	chmod +x "$TEST_TMP/few"
	LBD=$TEST_TMP/few
}

has_few()
{
	grep -q "^CapEff:.*$MASK" "/proc/$lbd_pid/status" && grep -q "^CapBnd:.*$MASK" "/proc/$lbd_pid/status"
}

# What others on the host have to do where the kernel refuses libxdp's dispatcher (story_dispatcher.sh).
second()
{
	in_ns lb env ${own_dispatcher:+LIBXDP_OBJECT_PATH="$LAB_BUILD/libxdp"} "$VM_TOOLS/second" "$@"
}

order()
{
	second list eth0 | awk '{ print $1 == "alone" ? "alone " $2 : $1 }' | xargs
}

detached()
{
	timeout "$PATIENCE" nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" --detach
}

lab_start --arm two --backends 2
lbd_init
lbd_config '.interfaces[0].attach = "dispatcher" | .services[].backends |= .[:2]' >"$LBD_CONFIG"
few
own_dispatcher=
second probe eth0 >/dev/null 2>&1 || own_dispatcher=yes
check "another program is there" second attach eth0 60 "$LAB_DIR/bpf/second_seen"
act "lbd starts beside another program" vm_lbd_start
check "with the capabilities that are granted for it" has_few
is "the dispatcher has both" "$(order)" "lb_ingress second"
check "packets flow" reaches "$LAB_VIP4" 2 16
act "kill -9" vm_lbd_stop KILL
act "it starts again" vm_lbd_start
is "both are there" "$(order)" "lb_ingress second"
check "packets flow" reaches "$LAB_VIP4" 2 16
act "it stops" vm_lbd_stop TERM
check "--detach ends well" detached
is "the other one is left" "$(order)" "second"
done_testing
