#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The whole of it under this kernel, attached exclusively: real connections over IPv4 and IPv6, a drain under a long
# download, kill -9 and adoption, upgrade by link update, detach. The lab's two arms (scripts/lab.sh).

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

lab_start --arm two --backends 3
lbd_init
vm_files
lbd_config >"$LBD_CONFIG"

pinned()
{
	bpftool -j link show pinned "$LBD_BPFFS/link_eth0" | jq -r "$1"
}

act "lbd starts" vm_lbd_start
check "native XDP is attached exclusively" answers GET /v1/status \
	'.interfaces[0] | .mode == "native" and .attach == "exclusive" and .attached'
check "IPv4 reaches every backend" reaches "$LAB_VIP4" 3
check "IPv6 reaches every backend" reaches "[$LAB_VIP6]" 3
check "a download over IPv4 is intact" download_intact "$LAB_VIP4"
check "a download over IPv6 is intact" download_intact "[$LAB_VIP6]"
check "an upload over IPv4 arrives" upload_intact "$LAB_VIP4"
check "an upload over IPv6 arrives" upload_intact "[$LAB_VIP6]"
check "the VIP answers ping" in_ns client ping -c 1 -W 20 "$LAB_VIP4"
check "the balancer itself is reached" in_ns router ping -c 1 -W 20 10.76.0.2
check "lbctl status agrees" vm_lbctl status
check "explain runs the loaded program" vm_lbctl explain tcp 198.51.100.2:4000 "$LAB_VIP4:80"

# A download that is slow enough to be there all along.
spawn client curl -gsSf --max-time 200 --limit-rate 20k -o "$TEST_TMP/slow" "http://$LAB_VIP4/some"
slow=$spawned
check "a slow download has begun" wait_for $PATIENCE test -s "$TEST_TMP/slow"
vm_load_start
act "one backend is drained" vm_lbctl backend set web b2 --state drain
check "new connections go to the others" reaches "$LAB_VIP4" 2
act "it comes back" vm_lbctl backend set web b2 --state active
check "new connections go to all again" reaches "$LAB_VIP4" 3

link=$(pinned .id) program=$(pinned .prog_id)
vm_lbd_stop KILL
check "packets flow after kill -9" vm_load_goes_on
act "lbd starts again" vm_lbd_start
check "it adopted what was there" test "$(pinned .id) $(pinned .prog_id)" = "$link $program"
lbd_config '.interfaces += [{ "name": "eth1", "xdp_mode": "native", "attach": "exclusive" }]' >"$LBD_CONFIG"
vm_lbd_stop TERM
act "lbd starts with another program" vm_lbd_start
check "the link was kept, its program replaced" test "$(pinned .id)" = "$link" -a "$(pinned .prog_id)" != "$program"
check "packets flow through it" vm_load_goes_on
vm_load_stop
check "the load was real" test "$load_answered" -gt 30
is "no request failed" "$load_failed" 0
check "the download ends" finish "$slow" 120
is "and is intact" "$(sha256sum <"$TEST_TMP/slow")" "$some_sha256  -"
check "received is what was sent, passed and dropped" conserved
check "nothing was dropped" answers GET /v1/status '.packets.drop == 0'

vm_lbd_stop TERM
check "--detach ends well" timeout $PATIENCE nsenter --net="/run/netns/$LAB_PREFIX-lb" -- "$LBD" "${LBD_ARGUMENTS[@]}" --detach
is "nothing is attached any more" "$(in_ns lb "$VM_TOOLS/second" list eth0)" ""

done_testing
